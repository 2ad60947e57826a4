import type { Transport } from '../http/transport.js';
import { OPERATIONS } from '../operations.js';
import type { RequestOptions } from '../options.js';
import type { Pages } from '../pages.js';
import type {
  Adjustment,
  AdjustmentResult,
  ListedUser,
  SystemMetrics,
  UserDetails,
  UserQuery,
  UserUpdate,
} from '../types/index.js';
import { Payments } from './payments.js';

/** The users of the installation. */
export class AdminUsers {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The users that match, newest first unless sorted, with their credits. */
  list(query: UserQuery = {}, options?: RequestOptions): Pages<ListedUser> {
    return this.#transport.pages({ operation: OPERATIONS.users, options }, query);
  }

  /** Everything that is kept of a user. */
  get(userId: string, options?: RequestOptions): Promise<UserDetails> {
    return this.#transport.data({ operation: OPERATIONS.getUser, parameters: { userId }, options });
  }

  /** Change role, status and credits together or not at all. Suspension ends the user's sessions at once. */
  update(userId: string, body: UserUpdate, options?: RequestOptions): Promise<UserDetails> {
    return this.#transport.data({ operation: OPERATIONS.updateUser, parameters: { userId }, body, options });
  }

  /** Give credits, or take them with a negative amount, never below zero; the reason is recorded. */
  adjustCredits(userId: string, body: Adjustment, options?: RequestOptions): Promise<AdjustmentResult> {
    return this.#transport.data({
      operation: OPERATIONS.adjustCredits,
      parameters: { userId },
      body,
      options,
    });
  }
}

/** What administrators do. */
export class Admin {
  readonly users: AdminUsers;
  readonly payments: Payments;
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
    this.users = new AdminUsers(transport);
    this.payments = new Payments(transport);
  }

  /** The installation in numbers. */
  metrics(options?: RequestOptions): Promise<SystemMetrics> {
    return this.#transport.data({ operation: OPERATIONS.metrics, options });
  }
}
