import type { PageQuery } from './common.js';

/** What a notification is about. */
export type NotificationCategory = 'account' | 'billing' | 'webhooks';

/** A notification. `type` says how much it matters, `category` what it is about. */
export interface Notification {
  id: string;
  type: 'info' | 'success' | 'warning' | 'error';
  category: NotificationCategory;
  title: string;
  message: string;
  read: boolean;
  createdAt: string;
}

/** Which notifications to list: `unread: true` the unread ones only. */
export interface NotificationQuery extends PageQuery {
  unread?: boolean | undefined;
}

/** How many notifications were unread before. */
export interface AllRead {
  markedAsRead: number;
}

/** The channels of a category. */
export interface CategoryChannels {
  email: boolean;
  push: boolean;
  inApp: boolean;
}

/** By which channels the user is told things. A channel that is off at the top is off in every category. */
export interface NotificationSettings {
  emailNotifications: boolean;
  pushNotifications: boolean;
  inAppNotifications: boolean;
  categories: Record<NotificationCategory, CategoryChannels>;
}

/** Settings to change; what is left out stays as it is. */
export interface NotificationSettingsUpdate {
  emailNotifications?: boolean | undefined;
  pushNotifications?: boolean | undefined;
  inAppNotifications?: boolean | undefined;
  categories?: Partial<Record<NotificationCategory, Partial<CategoryChannels>>> | undefined;
}
