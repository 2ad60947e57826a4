import { APIConnectionError, UnexpectedAnswerError } from '../errors.js';
import { parsed, requestIdOf, toldError } from './answers.js';
import { EventParser } from './events.js';
import type { Opened } from './sender.js';

const DONE = '[DONE]';
/** Within so many milliseconds the end of the body follows the last event. */
const END_WITHIN = 1_000;

/**
 * Pieces of an answer as they come, to be read once with `for await`. Leaving the loop, `close` or aborting the call's
 * signal ends the request; the server then stops its work. A stream that is not read to its end must be closed.
 */
export class EventStream<T> implements AsyncIterable<T> {
  /** The request's id in the server's log. */
  readonly requestId: string | undefined;
  readonly #opened: Opened;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #begun = false;
  #closed = false;

  constructor(opened: Opened) {
    const { response, deadline } = opened;
    this.requestId = requestIdOf(response);
    this.#opened = opened;
    deadline.pause();
    const type = response.headers.get('content-type') ?? 'no type';
    if (!type.startsWith('text/event-stream') || response.body === null) {
      this.close();
      throw new UnexpectedAnswerError(`The server answered with ${type} in place of a stream of events.`, {
        status: response.status,
        requestId: this.requestId,
      });
    }
    this.#reader = response.body.getReader();
  }

  /** End the request. Does nothing when it has ended. */
  close(): void {
    this.#closed = true;
    this.#opened.deadline.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    if (this.#begun) {
      throw new TypeError('A stream can be read once. Keep its pieces if you need them again.');
    }
    this.#begun = true;
    let complete = false;
    try {
      for await (const data of this.#events()) {
        if (data === DONE) {
          complete = true;
          return;
        }
        yield this.#piece(data);
      }
      this.#breakOff('the server ended it before it was complete');
    } finally {
      if (complete) {
        void this.#end();
      } else {
        this.close();
      }
    }
  }

  /** Read the end of the body, so that the connection can serve again. */
  async #end(): Promise<void> {
    const timer = setTimeout(() => this.close(), END_WITHIN);
    try {
      while (!(await this.#reader.read()).done);
    } catch {
      // the stream was complete: nothing that is worth telling is lost
    } finally {
      clearTimeout(timer);
      this.close();
    }
  }

  async *#events(): AsyncGenerator<string, void, undefined> {
    const parser = new EventParser();
    const decoder = new TextDecoder();
    for (let bytes = await this.#read(); bytes !== undefined; bytes = await this.#read()) {
      yield* parser.push(decoder.decode(bytes, { stream: true }));
    }
  }

  /** The next bytes, undefined at the end. The time counts while they are waited for, not while they are used. */
  async #read(): Promise<Uint8Array | undefined> {
    const { deadline } = this.#opened;
    if (this.#closed) {
      return undefined;
    }
    deadline.start();
    try {
      return (await this.#reader.read()).value;
    } catch (error) {
      if (this.#closed) {
        return undefined;
      }
      throw deadline.reason(() => this.#brokenOff('the connection was lost', error));
    } finally {
      deadline.pause();
    }
  }

  #piece(data: string): T {
    const value = parsed(data);
    const told = toldError(value, undefined, this.requestId);
    if (told !== undefined) {
      throw told;
    }
    if (typeof value !== 'object' || value === null) {
      throw new UnexpectedAnswerError(`The stream holds what is no JSON object: ${data.slice(0, 200)}`, {
        requestId: this.requestId,
      });
    }
    return value as T;
  }

  #breakOff(why: string): void {
    if (!this.#closed) {
      throw this.#brokenOff(why);
    }
  }

  #brokenOff(why: string, cause?: unknown): APIConnectionError {
    return new APIConnectionError(`The stream broke off: ${why}. What came of it may have been charged.`, {
      requestId: this.requestId,
      cause,
    });
  }
}
