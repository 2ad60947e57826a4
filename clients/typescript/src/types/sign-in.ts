/** A provider that people may sign in with. A browser goes to `path`; `beginSignIn` makes the whole address. */
export interface SignInProvider {
  name: string;
  title: string;
  path: string;
}

/** How to sign in with a provider. */
export interface SignInRequest {
  /** Where the user comes back to, with `code` or `error`. It must be on the installation's list. */
  redirectURI: string;
  /** `google`, unless told. */
  provider?: string | undefined;
}

/** What to keep until the user is back. */
export interface SignInStart {
  /** Where to send the browser. */
  url: string;
  /** It must come back as it is: an answer with another `state` is not to your request. */
  state: string;
  /** What proves that the code is yours; give it to `exchange`. */
  codeVerifier: string;
}

/** The code that came with the user to `redirectURI`, and what `beginSignIn` gave. */
export interface CodeExchange {
  code: string;
  codeVerifier?: string | undefined;
}
