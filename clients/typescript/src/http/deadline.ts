import { APITimeoutError } from '../errors.js';

/** A time limit and the caller's own signal as one signal. `end` it, or its timer keeps the process alive. */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #milliseconds: number;
  readonly #outer: AbortSignal | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timedOut = false;

  constructor(milliseconds: number, outer: AbortSignal | undefined) {
    this.#milliseconds = milliseconds;
    this.#outer = outer;
    outer?.throwIfAborted();
    outer?.addEventListener('abort', this.#abort);
    this.start();
  }

  /** Aborted when the time is over, the caller aborts, or `end` is called. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Count from now. */
  start(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timedOut = true;
      this.#controller.abort();
    }, this.#milliseconds);
  }

  /** Count no more until `start`. */
  pause(): void {
    clearTimeout(this.#timer);
  }

  /** Let go of timer and signal; what still runs under it is aborted. */
  end(): void {
    this.pause();
    this.#outer?.removeEventListener('abort', this.#abort);
    this.#controller.abort();
  }

  /** What to throw for a failure under this deadline: the caller's reason, a APITimeoutError, or `otherwise`. */
  reason(otherwise: () => unknown): unknown {
    if (this.#outer?.aborted) {
      return this.#outer.reason;
    }
    if (this.#timedOut) {
      return new APITimeoutError(`Nothing came from the server for ${this.#milliseconds} ms.`);
    }
    return otherwise();
  }

  readonly #abort = (): void => this.#controller.abort(this.#outer?.reason);
}

/** Wait. Throws the signal's reason when it is aborted meanwhile. */
export function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/** What `work` gives. Throws the signal's reason when it is aborted first; the work goes on, for others who wait. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) {
    return work;
  }
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) {
      stop();
    }
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
