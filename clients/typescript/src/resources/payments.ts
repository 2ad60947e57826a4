import type { Transport } from '../http/transport.js';
import { OPERATIONS } from '../operations.js';
import type { RequestOptions } from '../options.js';
import type { Pages } from '../pages.js';
import type { Payment, PaymentDetails, PaymentQuery, Refund, RefundOrder } from '../types/index.js';

/** What users paid, for administrators. */
export class Payments {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The payments that match, newest first. */
  list(query: PaymentQuery = {}, options?: RequestOptions): Pages<Payment> {
    return this.#transport.pages({ operation: OPERATIONS.payments, options }, query);
  }

  /** A payment and the refunds of it. */
  get(paymentId: string, options?: RequestOptions): Promise<PaymentDetails> {
    return this.#transport.data({ operation: OPERATIONS.getPayment, parameters: { paymentId }, options });
  }

  /** Give money of a purchase back, in whole or in part. Its credits leave the buyer's wallet as far as it has them. */
  refund(paymentId: string, body: RefundOrder, options?: RequestOptions): Promise<Refund> {
    return this.#transport.data({ operation: OPERATIONS.refund, parameters: { paymentId }, body, options });
  }
}
