import type { Transport } from '../http/transport.js';
import { OPERATIONS } from '../operations.js';
import type { RequestOptions } from '../options.js';
import type { Model } from '../types/index.js';

/** The models that can be asked. */
export class Models {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The models that the caller may use, under all their names, with the price of a token in dollars. */
  list(options?: RequestOptions): Promise<Model[]> {
    return this.#transport.data({ operation: OPERATIONS.models, options });
  }
}
