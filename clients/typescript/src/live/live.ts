import { APIConnectionError, APIError, AuthenticationError, PermissionDeniedError } from '../errors.js';
import { pause } from '../http/deadline.js';
import { backoff } from '../http/retries.js';
import type { Transport } from '../http/transport.js';
import { OPERATIONS } from '../operations.js';
import { checkedCount, type Settings, type WebSocketConstructor } from '../options.js';
import type { Session } from '../session.js';
import type { LiveEvent } from '../types/index.js';
import { LIVE_REFUSED, LiveSocket } from './socket.js';

const MAX_RECONNECTS = 10;
/** A connection that held for so many milliseconds was a good one. */
const STABLE = 30_000;

/** How the feed is followed. */
export interface LiveOptions {
  /** The last event that you have: those after it come first (events are kept for a day). Left out: begin now. */
  lastEventId?: number | undefined;
  /** Ends the feed when it is aborted; the loop then throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** How often in a row to try again when the connection is lost: 10 unless told, about a minute. */
  maxReconnects?: number | undefined;
}

/** What happens to the signed-in user, as it happens. */
export class Live {
  readonly #transport: Transport;
  readonly #session: Session;
  readonly #settings: Settings;
  readonly #given: WebSocketConstructor | undefined;

  constructor(
    transport: Transport,
    session: Session,
    settings: Settings,
    given: WebSocketConstructor | undefined,
  ) {
    this.#transport = transport;
    this.#session = session;
    this.#settings = settings;
    this.#given = given;
  }

  /**
   * Events, for ever: a lost connection is made anew, and goes on after the last event that was read. Leave the loop
   * or abort the signal to end it. Throws AuthenticationError when the session has ended for good, APIConnectionError
   * when the server stays away, APIError with the code LIVE_REFUSED when it will not have the connection.
   */
  async *events(options: LiveOptions = {}): AsyncGenerator<LiveEvent, never, undefined> {
    const most = checkedCount(options.maxReconnects ?? MAX_RECONNECTS, 'maxReconnects');
    const signal = options.signal;
    let after = options.lastEventId;
    for (let failed = 0; ; failed += 1) {
      let token: string | undefined;
      let connectedAt: number | undefined;
      try {
        token = await this.#session.bearer(signal);
        const socket = this.#open(token, after, signal);
        try {
          const newest = await socket.connected();
          connectedAt = Date.now();
          after ??= newest;
          for await (const event of socket.events()) {
            after = event.id;
            yield event;
          }
        } finally {
          socket.close();
        }
      } catch (error) {
        failed = connectedAt !== undefined && Date.now() - connectedAt > STABLE ? 0 : failed;
        if (failed >= most || !(await this.#mayReturn(error, token, connectedAt !== undefined, signal))) {
          throw error;
        }
      }
      await pause(backoff(failed), signal);
    }
  }

  #open(token: string | undefined, after: number | undefined, signal: AbortSignal | undefined): LiveSocket {
    signal?.throwIfAborted();
    const Socket = this.#given ?? globalThis.WebSocket;
    if (Socket === undefined) {
      throw new TypeError(
        'There is no global WebSocket here. Use Node.js 22 or newer (or 20 with --experimental-websocket), or give ' +
          'the client the option WebSocket.',
      );
    }
    const query = new URLSearchParams();
    if (token !== undefined) {
      query.set('token', token); // a browser can set no header here
    }
    if (after !== undefined) {
      query.set('lastEventId', String(after));
    }
    const url = `${this.#settings.baseURL.replace(/^http/, 'ws')}/ws?${query}`;
    return new LiveSocket(new Socket(url), { timeout: this.#settings.timeout, signal });
  }

  /** Whether to connect again after this error. Throws what HTTP says where it tells more. */
  async #mayReturn(
    error: unknown,
    token: string | undefined,
    wasConnected: boolean,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    if (error instanceof APIError && error.code === LIVE_REFUSED) {
      await this.#askWhy(signal);
      return (await this.#session.bearer(signal)) !== token;
    }
    if (!(error instanceof APIConnectionError)) {
      return false;
    }
    if (!wasConnected) {
      await this.#askWhy(signal);
    }
    return true;
  }

  /** A browser does not say why it was refused a WebSocket; HTTP tells, and renews a token that has expired. */
  async #askWhy(signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#transport.data({ operation: OPERATIONS.currentUser, options: { signal, maxRetries: 0 } });
    } catch (error) {
      if (error instanceof AuthenticationError || error instanceof PermissionDeniedError || signal?.aborted) {
        throw error;
      }
    }
  }
}
