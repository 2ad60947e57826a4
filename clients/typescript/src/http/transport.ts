import { AuthenticationError } from '../errors.js';
import { Pages } from '../pages.js';
import type { Session } from '../session.js';
import type { PageQuery } from '../types/index.js';
import { type Answer, dataOf, pageOf } from './answers.js';
import type { Call, Opened, Sender } from './sender.js';

/** Calls operations as whoever the session says. */
export class Transport {
  readonly #sender: Sender;
  readonly #session: Session;

  constructor(sender: Sender, session: Session) {
    this.#sender = sender;
    this.#session = session;
  }

  /** The `data` of the answer. */
  async data<T>(call: Call): Promise<T> {
    return dataOf<T>(await this.#answer(call));
  }

  /** A list that comes in pages, filtered by the query. */
  pages<T extends { id: string }>(call: Call, query: PageQuery): Pages<T> {
    const fetch = async (page: number | undefined) =>
      pageOf<T>(await this.#answer({ ...call, query: { ...query, page } }));
    return new Pages(fetch, query.page);
  }

  /** An answer that is read as it comes. */
  async open(call: Call): Promise<Opened> {
    return this.#authorised(call, (token) => this.#sender.open(call, token));
  }

  #answer(call: Call): Promise<Answer> {
    return this.#authorised(call, (token) => this.#sender.answer(call, token));
  }

  /** A call that is refused for its token was not done: it comes once more with a new one. */
  async #authorised<T>(call: Call, send: (token: string | undefined) => Promise<T>): Promise<T> {
    if (call.operation.open) {
      return send(undefined);
    }
    const signal = call.options?.signal;
    const token = await this.#session.bearer(signal);
    try {
      return await send(token);
    } catch (error) {
      if (!(error instanceof AuthenticationError) || !(await this.#session.replace(token, signal))) {
        throw error;
      }
      return send(await this.#session.bearer(signal));
    }
  }
}
