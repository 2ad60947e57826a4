import type { Transport } from '../http/transport.js';
import { OPERATIONS } from '../operations.js';
import type { RequestOptions } from '../options.js';
import type { Pages } from '../pages.js';
import type {
  Balance,
  CreditPackage,
  HistoryLine,
  HistoryQuery,
  Purchase,
  PurchaseOrder,
} from '../types/index.js';

/** The user's credits. */
export class Credits {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Credits that are free to spend, and those set aside. */
  balance(options?: RequestOptions): Promise<Balance> {
    return this.#transport.data({ operation: OPERATIONS.balance, options });
  }

  /** What changed the credits, newest first unless sorted otherwise. */
  history(query: HistoryQuery = {}, options?: RequestOptions): Pages<HistoryLine> {
    return this.#transport.pages({ operation: OPERATIONS.history, options }, query);
  }

  /** What can be bought, the cheapest first. */
  packages(options?: RequestOptions): Promise<CreditPackage[]> {
    return this.#transport.data({ operation: OPERATIONS.packages, options });
  }

  /** Buy credits. What is paid at once is in the balance when the answer arrives; see `status` and `message`. */
  purchase(body: PurchaseOrder, options?: RequestOptions): Promise<Purchase> {
    return this.#transport.data({ operation: OPERATIONS.purchase, body, options });
  }

  /** How a purchase stands. */
  getPurchase(purchaseId: string, options?: RequestOptions): Promise<Purchase> {
    return this.#transport.data({ operation: OPERATIONS.getPurchase, parameters: { purchaseId }, options });
  }
}
