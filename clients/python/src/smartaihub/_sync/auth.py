"""Accounts and sessions (document, Authentication Endpoints, Change Password)."""

from urllib.parse import urlencode

from smartaihub._requests import Repeat, Request, get, post, put, segment
from smartaihub._sync.connection import Connection
from smartaihub.types.accounts import Account, Provider, Registered, Session, Tokens
from smartaihub.types.base import Envelope, Message

GOOGLE = "google"


class Auth:
    """`client.auth`: after `login` the client acts for that user, and renews the access token by itself."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def register(self, email: str, password: str, *, first_name: str = "", last_name: str = "") -> Account:
        """Open an account; log in afterwards. Raises `ConflictError` if the address has one."""
        request = post(
            "/api/auth/register",
            Envelope[Registered],
            signed_in=False,
            email=email,
            password=password,
            first_name=first_name,
            last_name=last_name,
        )
        return (self._connection.data(request)).user

    def login(self, email: str, password: str) -> Session:
        """Open a session; from now on this client acts in it. Raises `AuthenticationError`."""
        request = post("/api/auth/login", Envelope[Session], signed_in=False, email=email, password=password)
        return self._opened(request)

    def providers(self) -> list[Provider]:
        """What a login page can offer beside a password."""
        return self._connection.data(get("/api/auth/providers", Envelope[list[Provider]]))

    def sign_in_url(
        self, provider: str, redirect_uri: str, *, state: str | None = None, code_challenge: str | None = None
    ) -> str:
        """Where to send a browser to sign in with a provider, e.g. `google` (document, OAuth Login).

        It comes back to `redirect_uri`, which the installation has to allow, with a `code` for `exchange`, or with
        `error`; `state` comes back as it is. `code_challenge` binds the code to a verifier (RFC 7636, S256).
        """
        path = f"/api/auth/{provider}" if provider == GOOGLE else f"/api/auth/oidc/{segment(provider)}"
        asked = {"redirect_uri": redirect_uri, "state": state, "code_challenge": code_challenge}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return f"{self._connection.base_url}{path}?{query}"

    def exchange(self, code: str, *, code_verifier: str | None = None) -> Session:
        """Open a session for the code of a sign-in, which is good once; from now on this client acts in it."""
        request = post("/api/auth/exchange", Envelope[Session], signed_in=False, code=code, code_verifier=code_verifier)
        return self._opened(request)

    def refresh(self) -> Tokens | None:
        """Renew the tokens now, which happens by itself once the access token ran out. None where there are none."""
        self._connection.refresh()
        return self._connection.credentials.tokens

    def logout(self) -> None:
        """End the session of the tokens; they are no longer used."""
        self._connection.send(post("/api/auth/logout", Envelope[Message]))
        self._connection.credentials.forget()

    def forgot_password(self, email: str) -> None:
        """Have a link mailed by which a new password is chosen. It is not told whether there is such an account."""
        self._connection.send(post("/api/auth/forgot-password", Envelope[Message], signed_in=False, email=email))

    def reset_password(self, token: str, new_password: str) -> None:
        """Set a new password with the token of a mailed link; every session ends."""
        request = post(
            "/api/auth/reset-password", Envelope[Message], signed_in=False, token=token, new_password=new_password
        )
        self._connection.send(request)

    def change_password(self, current_password: str, new_password: str) -> None:
        """Set another password; every other session ends."""
        request = put(
            "/api/users/me/password",
            Envelope[Message],
            repeat=Repeat.UNSENT,
            current_password=current_password,
            new_password=new_password,
        )
        self._connection.send(request)

    def _opened(self, request: Request[Envelope[Session]]) -> Session:
        session = self._connection.data(request)
        self._connection.credentials.keep(session.tokens)
        return session
