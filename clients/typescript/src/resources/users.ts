import type { Transport } from '../http/transport.js';
import { OPERATIONS } from '../operations.js';
import type { RequestOptions } from '../options.js';
import type { Application, ProfileUpdate, Said, User } from '../types/index.js';

/** The signed-in user. */
export class Users {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Who is calling. */
  me(options?: RequestOptions): Promise<User> {
    return this.#transport.data({ operation: OPERATIONS.currentUser, options });
  }

  /** Change the own profile; what is left out stays as it is. */
  updateMe(body: ProfileUpdate, options?: RequestOptions): Promise<User> {
    return this.#transport.data({ operation: OPERATIONS.updateCurrentUser, body, options });
  }

  /** The applications that act in the user's name, newest first. */
  applications(options?: RequestOptions): Promise<Application[]> {
    return this.#transport.data({ operation: OPERATIONS.applications, options });
  }

  /** Refuse an application's tokens from now on. */
  endApplication(applicationId: string, options?: RequestOptions): Promise<Said> {
    return this.#transport.data({
      operation: OPERATIONS.endApplication,
      parameters: { applicationId },
      options,
    });
  }
}
