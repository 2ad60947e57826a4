import type { Page } from './types/index.js';

/** Gives a page of a list. */
export type FetchPage<T> = (page: number | undefined) => Promise<Page<T>>;

/**
 * A list that comes in pages.
 *
 *     for await (const line of client.credits.history()) ...         // every item
 *     for await (const page of client.credits.history().pages()) ... // every page
 *     const page = await client.credits.history().page(3);       // one page
 */
export class Pages<T extends { id: string }> implements AsyncIterable<T> {
  readonly #fetch: FetchPage<T>;
  readonly #first: number | undefined;

  constructor(fetch: FetchPage<T>, first: number | undefined) {
    this.#fetch = fetch;
    this.#first = first;
  }

  /** One page, by its number from 1: the one that was asked for, else the first. */
  page(number: number | undefined = this.#first): Promise<Page<T>> {
    return this.#fetch(number);
  }

  /** That page and all after it. */
  async *pages(): AsyncGenerator<Page<T>, void, undefined> {
    for (let page = await this.page(); ; page = await this.page(page.pagination.page + 1)) {
      yield page;
      if (!page.pagination.hasNext) {
        return;
      }
    }
  }

  /** Every item. One that a newer item has pushed on to the next page meanwhile comes once. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    let seen = new Set<string>();
    for await (const { data } of this.pages()) {
      yield* data.filter((item) => !seen.has(item.id));
      seen = new Set(data.map((item) => item.id));
    }
  }
}
