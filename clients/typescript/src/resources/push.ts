import type { Transport } from '../http/transport.js';
import { OPERATIONS } from '../operations.js';
import type { RequestOptions } from '../options.js';
import type { NewPushSubscription, PushKey, RegisteredPushSubscription, Said } from '../types/index.js';

/** Browsers that show the user's notices. */
export class Push {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The public key that a browser subscribes with. It stays the same. */
  key(options?: RequestOptions): Promise<PushKey> {
    return this.#transport.data({ operation: OPERATIONS.pushKey, options });
  }

  /** Have notices pushed to a browser. Give it what `PushManager.subscribe()` gave, as it is or as JSON. */
  register(
    subscription: NewPushSubscription | { toJSON(): unknown },
    options?: RequestOptions,
  ): Promise<RegisteredPushSubscription> {
    return this.#transport.data({ operation: OPERATIONS.registerPush, body: subscription, options });
  }

  /** The user's browsers, newest first. */
  list(options?: RequestOptions): Promise<RegisteredPushSubscription[]> {
    return this.#transport.data({ operation: OPERATIONS.pushSubscriptions, options });
  }

  /** Push nothing more to this browser. */
  remove(subscriptionId: string, options?: RequestOptions): Promise<Said> {
    return this.#transport.data({
      operation: OPERATIONS.removePush,
      parameters: { subscriptionId },
      options,
    });
  }
}
