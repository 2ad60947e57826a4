import type { Transport } from '../http/transport.js';
import { OPERATIONS } from '../operations.js';
import type { RequestOptions } from '../options.js';
import type { Pages } from '../pages.js';
import type {
  AllRead,
  Notification,
  NotificationQuery,
  NotificationSettings,
  NotificationSettingsUpdate,
} from '../types/index.js';
import { Push } from './push.js';

/** What the user is told. */
export class Notifications {
  /** Notices in browsers. */
  readonly push: Push;
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
    this.push = new Push(transport);
  }

  /** The user's notifications, newest first. */
  list(query: NotificationQuery = {}, options?: RequestOptions): Pages<Notification> {
    return this.#transport.pages({ operation: OPERATIONS.notifications, options }, query);
  }

  /** Mark one as read, as often as you like. */
  read(notificationId: string, options?: RequestOptions): Promise<Notification> {
    return this.#transport.data({
      operation: OPERATIONS.readNotification,
      parameters: { notificationId },
      options,
    });
  }

  /** Mark all as read. */
  readAll(options?: RequestOptions): Promise<AllRead> {
    return this.#transport.data({ operation: OPERATIONS.readAllNotifications, options });
  }

  /** By which channels the user is told things. */
  settings(options?: RequestOptions): Promise<NotificationSettings> {
    return this.#transport.data({ operation: OPERATIONS.notificationSettings, options });
  }

  /** Set what is given; everything else stays as it is. */
  updateSettings(body: NotificationSettingsUpdate, options?: RequestOptions): Promise<NotificationSettings> {
    return this.#transport.data({ operation: OPERATIONS.updateNotificationSettings, body, options });
  }
}
