import { APIConnectionError, APIError, APITimeoutError, UnexpectedAnswerError } from '../errors.js';
import { parsed } from '../http/answers.js';
import type { WebSocketLike } from '../options.js';
import type { LiveEvent } from '../types/index.js';
import { Inbox } from './inbox.js';

/** Code of the error for a connection that the server does not want: the session has ended, or there are too many. */
export const LIVE_REFUSED = 'LIVE_REFUSED';

/** RFC 6455, section 7.4.1. */
const REFUSED = 1008;
const PING_EVERY = 30_000;
/** More events than this are not kept for a reader who is behind: it gets them again when it has caught up. */
const MOST_WAITING = 1_000;

interface Message {
  type?: unknown;
  data?: unknown;
}

/** How a socket is watched: the time to connect in milliseconds, and the signal that ends it. */
export interface Watch {
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

/** One connection to the feed. */
export class LiveSocket {
  readonly #socket: WebSocketLike;
  readonly #signal: AbortSignal | undefined;
  readonly #inbox = new Inbox<Message>();
  readonly #connecting: ReturnType<typeof setTimeout>;
  #beating: ReturnType<typeof setInterval> | undefined;
  #heard = true;
  #closed = false;

  constructor(socket: WebSocketLike, { timeout, signal }: Watch) {
    this.#socket = socket;
    this.#signal = signal;
    this.#connecting = setTimeout(
      () => this.#give(new APITimeoutError(`The feed did not open for ${timeout} ms.`)),
      timeout,
    );
    signal?.addEventListener('abort', this.#abort);
    socket.addEventListener('message', (message) => this.#take(message.data));
    socket.addEventListener('close', (closed) => this.#give(causeOf(closed)));
    // Node.js 20 closes a connection that it could not make without a word of `close`
    socket.addEventListener('error', () =>
      this.#give(new APIConnectionError('The feed could not be reached.')),
    );
  }

  /** The id of the newest event, once the connection stands. */
  async connected(): Promise<number> {
    const first = await this.#inbox.next();
    clearTimeout(this.#connecting);
    const { lastEventId } = (first.data ?? {}) as { lastEventId?: unknown };
    if (first.type !== 'connected' || typeof lastEventId !== 'number') {
      throw new UnexpectedAnswerError('The feed does not begin as that of the Smart AI Hub API.');
    }
    this.#beating = setInterval(() => this.#beat(), PING_EVERY);
    return lastEventId;
  }

  /** Events as they come. Throws APIConnectionError when the connection is lost, LIVE_REFUSED when it is ended. */
  async *events(): AsyncGenerator<LiveEvent, never, undefined> {
    for (;;) {
      const message = await this.#inbox.next();
      if (message.type === 'event') {
        const { id, event, data, timestamp } = message as LiveEvent & Message;
        yield { id, event, data, timestamp };
      }
    }
  }

  /** End the connection. Does nothing when it has ended. */
  close(): void {
    if (this.#closed) {
      return; // Node.js 20 tells of an error again when a connection that failed is closed
    }
    this.#closed = true;
    clearTimeout(this.#connecting);
    clearInterval(this.#beating);
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#socket.close();
  }

  #take(data: unknown): void {
    this.#heard = true;
    const message = typeof data === 'string' ? parsed(data) : undefined;
    if (typeof message !== 'object' || message === null) {
      this.#give(new UnexpectedAnswerError('The feed holds what is no JSON object.'));
    } else if (this.#inbox.size < MOST_WAITING) {
      this.#inbox.push(message);
    } else {
      this.#give(new APIConnectionError('The reader is behind the feed.', { code: 'LIVE_BEHIND' }));
    }
  }

  /** A line that has carried nothing since the last ping is dead, whatever the operating system believes. */
  #beat(): void {
    if (!this.#heard) {
      this.#give(new APIConnectionError('The feed has fallen silent.'));
      return;
    }
    this.#heard = false;
    this.#socket.send('{"type":"ping"}');
  }

  #give(reason: unknown): void {
    this.#inbox.fail(reason);
    this.close();
  }

  readonly #abort = (): void => {
    this.#inbox.fail(this.#signal?.reason, { drop: true });
    this.close();
  };
}

function causeOf({
  code,
  reason,
}: {
  readonly code: number;
  readonly reason: string;
}): APIConnectionError | APIError {
  const why = reason === '' ? `The feed was closed with code ${code}.` : reason;
  return code === REFUSED ? new APIError(why, { code: LIVE_REFUSED }) : new APIConnectionError(why);
}
