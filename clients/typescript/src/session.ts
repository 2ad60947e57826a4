import { AuthenticationError } from './errors.js';
import { dataOf } from './http/answers.js';
import { unlessAborted } from './http/deadline.js';
import type { Sender } from './http/sender.js';
import { OPERATIONS } from './operations.js';
import { type ClientOptions, checkedKey } from './options.js';
import type { Tokens } from './types/index.js';

/** An access token is renewed so many milliseconds before it expires, or in the last tenth of a shorter life. */
const RENEWED_BEFORE = 30_000;

/** Who the client is: an API key, or the tokens of a session, which it renews. */
export class Session {
  readonly #sender: Sender;
  readonly #apiKey: string | undefined;
  readonly #onTokens: ((tokens: Tokens | undefined) => void) | undefined;
  #tokens: Tokens | undefined;
  #renewAt = Number.POSITIVE_INFINITY;
  #renewing: Promise<Tokens> | undefined;

  constructor(sender: Sender, options: ClientOptions) {
    this.#sender = sender;
    this.#apiKey = options.apiKey === undefined ? undefined : checkedKey(options.apiKey);
    this.#onTokens = options.onTokens;
    this.#tokens = options.tokens;
  }

  /** The tokens of the session; undefined where nobody is logged in. */
  get tokens(): Tokens | undefined {
    return this.#tokens;
  }

  /** Go on with these tokens, or with none. */
  set(tokens: Tokens | undefined): void {
    this.#tokens = tokens;
    if (tokens !== undefined) {
      const life = tokens.expiresIn * 1000;
      this.#renewAt = Date.now() + life - Math.min(RENEWED_BEFORE, life / 10);
    }
    this.#onTokens?.(tokens);
  }

  /** What to send as the bearer: the access token, renewed where it is about to expire, else the API key. */
  async bearer(signal: AbortSignal | undefined): Promise<string | undefined> {
    if (this.#tokens !== undefined && Date.now() >= this.#renewAt) {
      await this.renew(signal);
    }
    return this.#tokens?.accessToken ?? this.#apiKey;
  }

  /** Whether there is a new token in place of one that was refused. Throws AuthenticationError if the session ended. */
  async replace(refused: string | undefined, signal: AbortSignal | undefined): Promise<boolean> {
    if (this.#tokens === undefined || refused === undefined) {
      return false;
    }
    if (this.#tokens.accessToken === refused) {
      await this.renew(signal);
    }
    return true;
  }

  /** New tokens; whoever asks meanwhile waits for the same ones, as a refresh token is good once. */
  async renew(signal: AbortSignal | undefined): Promise<Tokens> {
    this.#renewing ??= this.#refresh().finally(() => {
      this.#renewing = undefined;
    });
    return unlessAborted(this.#renewing, signal);
  }

  async #refresh(): Promise<Tokens> {
    const spent = this.#tokens;
    if (spent === undefined) {
      throw new AuthenticationError('Nobody is logged in: there is no refresh token. Log in first.', {
        code: 'AUTHENTICATION_FAILED',
      });
    }
    try {
      const call = { operation: OPERATIONS.refresh, body: { refreshToken: spent.refreshToken } };
      const answer = await this.#sender.answer(call, undefined);
      const { tokens } = dataOf<{ tokens: Tokens }>(answer);
      this.#replaceSpent(spent, tokens);
      return tokens;
    } catch (error) {
      if (error instanceof AuthenticationError) {
        this.#replaceSpent(spent, undefined);
      }
      throw error;
    }
  }

  /** Nothing is replaced where somebody logged in or out meanwhile. */
  #replaceSpent(spent: Tokens, tokens: Tokens | undefined): void {
    if (this.#tokens === spent) {
      this.set(tokens);
    }
  }
}
