import { APIConnectionError, SmartAIHubError } from '../errors.js';
import { checkedCount, checkedMilliseconds, type RequestOptions, type Settings } from '../options.js';
import { randomHex } from '../random.js';
import { VERSION } from '../version.js';
import { type Answer, answerOf } from './answers.js';
import { Deadline, pause } from './deadline.js';
import { type Operation, type Query, urlOf } from './operation.js';
import { waitBefore } from './retries.js';

/** One call of an operation. */
export interface Call {
  readonly operation: Operation;
  readonly parameters?: Readonly<Record<string, string>>;
  readonly query?: Query;
  readonly body?: object;
  readonly options?: RequestOptions | undefined;
}

/** A response whose body is still to come, and the deadline that it is read under. */
export interface Opened {
  readonly response: Response;
  readonly deadline: Deadline;
}

/** A call as it is sent, however often. */
interface Prepared {
  readonly call: Call;
  readonly url: string;
  readonly headers: Headers;
  readonly body: string | undefined;
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
}

/** Sends calls with `fetch`, each as often as it takes and may. It knows nothing of tokens. */
export class Sender {
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** The whole answer. Throws what went wrong the last time. */
  async answer(call: Call, token: string | undefined): Promise<Answer> {
    return this.#persist(this.#prepare(call, token, 'application/json'), async ({ response, deadline }) => {
      try {
        return await answerOf(response);
      } finally {
        deadline.end();
      }
    });
  }

  /** An answer that is read as it comes: the caller ends its deadline. Once this is given out, nothing is sent again. */
  async open(call: Call, token: string | undefined): Promise<Opened> {
    return this.#persist(this.#prepare(call, token, 'text/event-stream'), async (opened) => {
      if (!opened.response.ok) {
        await answerOf(opened.response);
      }
      return opened;
    });
  }

  async #persist<T>(prepared: Prepared, read: (opened: Opened) => Promise<T>): Promise<T> {
    const { call, signal } = prepared;
    const most = checkedCount(call.options?.maxRetries ?? this.#settings.maxRetries, 'maxRetries');
    for (let again = 0; ; again += 1) {
      try {
        return await this.#once(prepared, read);
      } catch (error) {
        const wait = error instanceof SmartAIHubError ? waitBefore(error, call.operation, again) : undefined;
        if (wait === undefined || again >= most || wait > this.#settings.maxRetryDelay) {
          throw error;
        }
        await pause(wait, signal);
      }
    }
  }

  async #once<T>(prepared: Prepared, read: (opened: Opened) => Promise<T>): Promise<T> {
    const deadline = new Deadline(prepared.timeout, prepared.signal);
    try {
      const response = await this.#settings.fetch(prepared.url, {
        method: prepared.call.operation.method,
        headers: prepared.headers,
        body: prepared.body ?? null,
        signal: deadline.signal,
        redirect: 'manual',
        credentials: 'omit',
      });
      return await read({ response, deadline });
    } catch (error) {
      const reason = deadline.reason(() => asFailure(error, prepared.url));
      deadline.end();
      throw reason;
    }
  }

  #prepare(call: Call, token: string | undefined, accept: string): Prepared {
    const options = call.options ?? {};
    const headers = new Headers({ Accept: accept, 'X-Client-Version': `@smartaihub/client ${VERSION}` });
    const key = call.operation.keyed ? (options.idempotencyKey ?? randomHex(16)) : undefined;
    const named = {
      'Content-Type': call.body && 'application/json',
      Authorization: token && `Bearer ${token}`,
      'Idempotency-Key': key,
      'X-Request-ID': options.requestId,
      ...this.#settings.headers,
      ...options.headers,
    };
    for (const [name, value] of Object.entries(named)) {
      if (value !== undefined) {
        headers.set(name, value);
      }
    }
    return {
      call,
      url: urlOf(this.#settings.baseURL, call.operation, call.parameters, call.query),
      headers,
      body: call.body && JSON.stringify(call.body),
      timeout: checkedMilliseconds(options.timeout ?? this.#settings.timeout, 'timeout'),
      signal: options.signal,
    };
  }
}

/** What `fetch` throws is a TypeError whose cause, where there is one, tells more. */
function asFailure(error: unknown, url: string): unknown {
  if (error instanceof SmartAIHubError) {
    return error;
  }
  return new APIConnectionError(`${new URL(url).origin} gave no whole answer: ${toldBy(error)}`, {
    cause: error,
  });
}

function toldBy(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  return error.cause instanceof Error ? error.cause.message || error.message : error.message;
}
