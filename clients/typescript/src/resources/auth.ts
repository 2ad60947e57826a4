import { AuthenticationError } from '../errors.js';
import type { Transport } from '../http/transport.js';
import { OPERATIONS } from '../operations.js';
import type { RequestOptions } from '../options.js';
import { codeChallenge, randomHex } from '../random.js';
import type { Session } from '../session.js';
import type {
  Account,
  CodeExchange,
  Credentials,
  LoggedIn,
  PasswordChange,
  PasswordReset,
  Registration,
  Said,
  SignInProvider,
  SignInRequest,
  SignInStart,
  Tokens,
} from '../types/index.js';

/** Accounts and sessions. */
export class Auth {
  readonly #transport: Transport;
  readonly #session: Session;
  readonly #baseURL: string;

  constructor(transport: Transport, session: Session, baseURL: string) {
    this.#transport = transport;
    this.#session = session;
    this.#baseURL = baseURL;
  }

  /** The tokens of the session that the client holds; undefined where nobody is logged in. */
  get tokens(): Tokens | undefined {
    return this.#session.tokens;
  }

  /** Open an account, with welcome credits. It does not log in. */
  async register(body: Registration, options?: RequestOptions): Promise<Account> {
    const data = await this.#transport.data<{ user: Account }>({
      operation: OPERATIONS.register,
      body,
      options,
    });
    return data.user;
  }

  /** Open a session. From now on the client calls as this user, and renews the tokens by itself. */
  async login(body: Credentials, options?: RequestOptions): Promise<LoggedIn> {
    return this.#begun(await this.#transport.data({ operation: OPERATIONS.login, body, options }));
  }

  /** What a login page can offer beside a password. */
  providers(options?: RequestOptions): Promise<SignInProvider[]> {
    return this.#transport.data({ operation: OPERATIONS.signInProviders, options });
  }

  /** Where to send the browser to sign in with Google or another provider, and what to keep until it is back. */
  async beginSignIn({ redirectURI, provider = 'google' }: SignInRequest): Promise<SignInStart> {
    const [state, codeVerifier] = [randomHex(16), randomHex(32)];
    const query = new URLSearchParams({
      redirect_uri: redirectURI,
      state,
      code_challenge: await codeChallenge(codeVerifier),
    });
    const path = provider === 'google' ? provider : `oidc/${encodeURIComponent(provider)}`;
    return { url: `${this.#baseURL}/api/auth/${path}?${query}`, state, codeVerifier };
  }

  /** Open a session with the code that came back. From now on the client calls as this user. */
  async exchange(body: CodeExchange, options?: RequestOptions): Promise<LoggedIn> {
    return this.#begun(await this.#transport.data({ operation: OPERATIONS.exchangeCode, body, options }));
  }

  /** New tokens now. There is no need to: the client renews them when it must. */
  async refresh(options: Pick<RequestOptions, 'signal'> = {}): Promise<Tokens> {
    return this.#session.renew(options.signal);
  }

  /** End the session, on the server and here. */
  async logout(options?: RequestOptions): Promise<void> {
    try {
      await this.#transport.data<Said>({ operation: OPERATIONS.logout, options });
    } catch (error) {
      if (!(error instanceof AuthenticationError)) {
        throw error;
      }
    }
    this.#session.set(undefined);
  }

  /** Have a link to choose a new password mailed. The answer does not tell whether there is such an account. */
  forgotPassword(email: string, options?: RequestOptions): Promise<Said> {
    return this.#transport.data({ operation: OPERATIONS.forgotPassword, body: { email }, options });
  }

  /** Set a new password with the token of a mailed link; every session of the user ends. */
  resetPassword(body: PasswordReset, options?: RequestOptions): Promise<Said> {
    return this.#transport.data({ operation: OPERATIONS.resetPassword, body, options });
  }

  /** Set another password, knowing the present one; every other session of the user ends. */
  changePassword(body: PasswordChange, options?: RequestOptions): Promise<Said> {
    return this.#transport.data({ operation: OPERATIONS.changePassword, body, options });
  }

  #begun(loggedIn: LoggedIn): LoggedIn {
    this.#session.set(loggedIn.tokens);
    return loggedIn;
  }
}
