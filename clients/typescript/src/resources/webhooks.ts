import type { Transport } from '../http/transport.js';
import { OPERATIONS } from '../operations.js';
import type { RequestOptions } from '../options.js';
import type { Pages } from '../pages.js';
import type {
  Delivery,
  DeliveryDetails,
  DeliveryQuery,
  NewWebhook,
  PageQuery,
  Said,
  Webhook,
  WebhookUpdate,
  WebhookWithSecret,
} from '../types/index.js';

/** Addresses that hear of events. */
export class Webhooks {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Have events posted to an address. The secret is shown this once. */
  create(body: NewWebhook, options?: RequestOptions): Promise<WebhookWithSecret> {
    return this.#transport.data({ operation: OPERATIONS.createWebhook, body, options });
  }

  /** The webhooks, newest first. */
  list(query: PageQuery = {}, options?: RequestOptions): Pages<Webhook> {
    return this.#transport.pages({ operation: OPERATIONS.webhooks, options }, query);
  }

  /** One webhook, without its secret. */
  get(webhookId: string, options?: RequestOptions): Promise<Webhook> {
    return this.#transport.data({ operation: OPERATIONS.getWebhook, parameters: { webhookId }, options });
  }

  /** Change what is given. Set active again, it gets what waited for it. */
  update(webhookId: string, body: WebhookUpdate, options?: RequestOptions): Promise<Webhook> {
    return this.#transport.data({
      operation: OPERATIONS.updateWebhook,
      parameters: { webhookId },
      body,
      options,
    });
  }

  /** Delete a webhook and the log of its deliveries. */
  delete(webhookId: string, options?: RequestOptions): Promise<Said> {
    return this.#transport.data({ operation: OPERATIONS.deleteWebhook, parameters: { webhookId }, options });
  }

  /** A new random secret, shown this once. For a day `webhook-signature` is made with the old one too. */
  rotateSecret(webhookId: string, options?: RequestOptions): Promise<WebhookWithSecret> {
    return this.#transport.data({
      operation: OPERATIONS.rotateWebhookSecret,
      parameters: { webhookId },
      options,
    });
  }

  /** Send a `webhook.test` event; its delivery tells what came of it. */
  test(webhookId: string, options?: RequestOptions): Promise<Delivery> {
    return this.#transport.data({ operation: OPERATIONS.testWebhook, parameters: { webhookId }, options });
  }

  /** What was sent and what waits, newest first. */
  deliveries(webhookId: string, query: DeliveryQuery = {}, options?: RequestOptions): Pages<Delivery> {
    const call = { operation: OPERATIONS.deliveries, parameters: { webhookId }, options };
    return this.#transport.pages(call, query);
  }

  /** A delivery with every try. */
  delivery(webhookId: string, deliveryId: string, options?: RequestOptions): Promise<DeliveryDetails> {
    const parameters = { webhookId, deliveryId };
    return this.#transport.data({ operation: OPERATIONS.getDelivery, parameters, options });
  }

  /** Send an ended delivery again, under the same event id. */
  replay(webhookId: string, deliveryId: string, options?: RequestOptions): Promise<Delivery> {
    const parameters = { webhookId, deliveryId };
    return this.#transport.data({ operation: OPERATIONS.replayDelivery, parameters, options });
  }
}
