import type { Tokens } from './types/index.js';

/** What one call can be given. */
export interface RequestOptions {
  /** Ends the call when it is aborted; the call then throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Milliseconds without an answer, or without the next bytes of a stream. */
  timeout?: number | undefined;
  /** How often a call that failed is tried again. */
  maxRetries?: number | undefined;
  /** The `Idempotency-Key` of a call that charges or changes something; made for each call where it is left out. */
  idempotencyKey?: string | undefined;
  /** An id of your own for the request, as `X-Request-ID`. */
  requestId?: string | undefined;
  /** More headers, which take the place of the client's. */
  headers?: Readonly<Record<string, string>> | undefined;
}

/** What is used of a WebSocket. */
export interface WebSocketLike {
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(
    type: 'close',
    listener: (event: { readonly code: number; readonly reason: string }) => void,
  ): void;
  addEventListener(type: 'error', listener: () => void): void;
  send(data: string): void;
  close(): void;
}

/** A constructor of WebSockets as the browser has it. */
export type WebSocketConstructor = new (url: string) => WebSocketLike;

/** How a client is made. */
export interface ClientOptions {
  /** Where the API is: `https://api.smartaihub.com`, or a Cloudyard installation: `https://cloud.example/aihub`. */
  baseURL: string;
  /** An API key or an access token. Without one, log in: `await client.auth.login(...)`. */
  apiKey?: string | undefined;
  /** The tokens of a session that goes on. */
  tokens?: Tokens | undefined;
  /** Told of every new pair of tokens, and of undefined when the session has ended: keep them where it suits you. */
  onTokens?: ((tokens: Tokens | undefined) => void) | undefined;
  /** Milliseconds without an answer, or without the next bytes of a stream: 60,000 unless told. */
  timeout?: number | undefined;
  /** How often a call that failed is tried again: 2 unless told. */
  maxRetries?: number | undefined;
  /** The longest wait between two tries in milliseconds: 60,000 unless told. Asked to wait longer, the call fails. */
  maxRetryDelay?: number | undefined;
  /** Headers of every request, e.g. `X-Client-Version` of your application. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** What to use in place of the global `fetch`. */
  fetch?: typeof fetch | undefined;
  /** What to use in place of the global `WebSocket`, which Node.js has from version 22. */
  WebSocket?: WebSocketConstructor | undefined;
}

/** Options as the client works with them. */
export interface Settings {
  readonly baseURL: string;
  readonly timeout: number;
  readonly maxRetries: number;
  readonly maxRetryDelay: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: typeof fetch;
}

const TIMEOUT = 60_000;
const MAX_RETRIES = 2;
const MAX_RETRY_DELAY = 60_000;
/** The longest time that timers can count: 2^31 - 1 ms, about 24 days. */
const LONGEST_TIMER = 2_147_483_647;

/** Options with everything that was left out. Throws TypeError where one cannot be meant. */
export function settingsOf(options: ClientOptions): Settings {
  return {
    baseURL: checkedBaseURL(options.baseURL),
    timeout: checkedMilliseconds(options.timeout ?? TIMEOUT, 'timeout'),
    maxRetries: checkedCount(options.maxRetries ?? MAX_RETRIES, 'maxRetries'),
    maxRetryDelay: checkedMilliseconds(options.maxRetryDelay ?? MAX_RETRY_DELAY, 'maxRetryDelay'),
    headers: options.headers ?? {},
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
  };
}

/** The key as it is. Throws TypeError, without showing it, for one that no header can carry. */
export function checkedKey(key: string): string {
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw new TypeError(
      'apiKey is empty, or holds a space, a line break or another character that no key has.',
    );
  }
  return key;
}

/** A time in milliseconds, at most what timers can count. Throws TypeError for one that is none. */
export function checkedMilliseconds(value: number, name: string): number {
  if (!(value > 0)) {
    throw new TypeError(`${name} is a number of milliseconds above 0, not ${value}.`);
  }
  return Math.min(value, LONGEST_TIMER);
}

/** A whole number from 0. Throws TypeError for one that is none. */
export function checkedCount(value: number, name: string): number {
  if (!Number.isInteger(value) || value < 0) {
    throw new TypeError(`${name} is a whole number from 0, not ${value}.`);
  }
  return value;
}

function checkedBaseURL(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new TypeError(`baseURL is an http or https URL, not ${JSON.stringify(given)}.`);
  }
  if (url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '') {
    throw new TypeError(
      'baseURL is an address alone: without a query, a fragment, a user name or a password.',
    );
  }
  return url.href.replace(/\/+$/, '');
}
