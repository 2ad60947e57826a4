/** Takes what comes when it comes, and gives it out when it is wanted. */
export class Inbox<T> {
  #items: T[] = [];
  #failure: { readonly reason: unknown } | undefined;
  #wake: (() => void) | undefined;

  /** How many wait. */
  get size(): number {
    return this.#items.length;
  }

  /** Take one; does nothing once it has failed. */
  push(item: T): void {
    if (this.#failure === undefined) {
      this.#items.push(item);
      this.#wake?.();
    }
  }

  /** Nothing more comes, for this reason: the first one counts. What waits is still given out, unless dropped. */
  fail(reason: unknown, { drop = false } = {}): void {
    this.#failure ??= { reason };
    if (drop) {
      this.#failure = { reason };
      this.#items = [];
    }
    this.#wake?.();
  }

  /** The next one. Throws the reason once nothing more comes. */
  async next(): Promise<T> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) {
        return item;
      }
      if (this.#failure !== undefined) {
        throw this.#failure.reason;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
