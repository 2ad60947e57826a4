import { Sender } from './http/sender.js';
import { Transport } from './http/transport.js';
import { Live } from './live/live.js';
import { type ClientOptions, settingsOf } from './options.js';
import { Admin } from './resources/admin.js';
import { Auth } from './resources/auth.js';
import { Chat } from './resources/chat.js';
import { Credits } from './resources/credits.js';
import { Models } from './resources/models.js';
import { Notifications } from './resources/notifications.js';
import { Users } from './resources/users.js';
import { Webhooks } from './resources/webhooks.js';
import { Session } from './session.js';

/**
 * The Smart AI Hub API.
 *
 *     const client = new SmartAIHubClient({ baseURL: 'https://api.smartaihub.com', apiKey: 'your-api-key' });
 *     const answer = await client.chat.completions.create({
 *       model: 'gpt-4',
 *       messages: [{ role: 'user', content: 'Hello!' }],
 *     });
 */
export class SmartAIHubClient {
  readonly auth: Auth;
  readonly users: Users;
  readonly credits: Credits;
  readonly models: Models;
  readonly chat: Chat;
  readonly notifications: Notifications;
  readonly webhooks: Webhooks;
  readonly admin: Admin;
  readonly live: Live;

  /** Throws TypeError for options that cannot be meant. Nothing is sent until the first call. */
  constructor(options: ClientOptions) {
    const settings = settingsOf(options);
    const sender = new Sender(settings);
    const session = new Session(sender, options);
    const transport = new Transport(sender, session);
    this.auth = new Auth(transport, session, settings.baseURL);
    this.users = new Users(transport);
    this.credits = new Credits(transport);
    this.models = new Models(transport);
    this.chat = new Chat(transport);
    this.notifications = new Notifications(transport);
    this.webhooks = new Webhooks(transport);
    this.admin = new Admin(transport);
    this.live = new Live(transport, session, settings, options.WebSocket);
  }
}
