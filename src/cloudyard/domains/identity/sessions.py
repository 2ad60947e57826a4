"""Sessions: login, refresh, logout, and the question on every request of who is calling."""

from functools import partial

import structlog
from sqlalchemy import ColumnElement

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.identity import repository
from cloudyard.domains.identity.activity import Activity
from cloudyard.domains.identity.credential_cache import CredentialCache, Verified
from cloudyard.domains.identity.credentials import Credentials
from cloudyard.domains.identity.errors import (
    EmailNotVerified,
    InvalidCredentials,
    InvalidEmail,
    RefreshTokenReused,
)
from cloudyard.domains.identity.models import sessions, users
from cloudyard.domains.identity.names import is_username, normal_email
from cloudyard.domains.identity.passwords import Passwords
from cloudyard.domains.identity.records import Principal, TokenPair, User, UserStatus
from cloudyard.domains.identity.session_rows import REUSED, SessionRows, shown, suspended
from cloudyard.domains.identity.signing_keys import SigningKey
from cloudyard.domains.identity.tokens import Tokens, TokenUse
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.settings.security import SecuritySettings

log = structlog.get_logger(__name__)


class Sessions:
    """A session is one login and the family of refresh tokens that grows from it.

    A refresh token is good once. One that comes again shows that two parties have it, and the thief cannot be told
    from the owner: the whole family ends (RFC 9700, section 4.14.2). That holds for parallel calls too, on purpose:
    of several refreshes with one token at most one is answered, and its tokens end with the family.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        audit: AuditLog,
        passwords: Passwords,
        tokens: Tokens,
        cache: CredentialCache,
        activity: Activity,
        settings: SecuritySettings,
    ) -> None:
        self._database = database
        self._ids = ids
        self._rows = SessionRows(clock, audit, cache)
        self._passwords = passwords
        self._tokens = tokens
        self._cache = cache
        self._activity = activity
        self._credentials = Credentials(database, clock, tokens)
        self._require_verified = settings.require_verified_email

    async def login(self, identifier: str, password: str, *, client: str | None = None) -> TokenPair:
        """Open a session for an e-mail address or a username. `client` is shown to the user, e.g. a User-Agent.

        Raises `InvalidCredentials`, and after a right password `AccountSuspended` or `EmailNotVerified`.
        """
        account, renewed_hash = await self._proven(identifier, password, client)
        return await self._open(account, client, renewed_hash)

    async def prove(self, identifier: str, password: str, *, client: str | None = None) -> User:
        """Who has this login and password. Opens no session; raises what `login` raises."""
        account, _ = await self._proven(identifier, password, client)
        self._refuse(account.user)
        return account.user

    async def start(self, user_id: str, *, client: str | None = None) -> TokenPair:
        """Open a session for a user who has proved identity otherwise: by registering just now.

        Raises `UserNotFound`, `AccountSuspended`, `EmailNotVerified`.
        """
        async with self._database.reading() as tx:
            account = await repository.get_account(tx, user_id)
        return await self._open(account, client, None)

    async def start_unchanged(self, account: repository.Account, *, client: str | None = None) -> TokenPair:
        """As `start`, for a user who proved identity when the account was as given here.

        Raises `InvalidCredentials` where it has got another password since, `AccountSuspended`, `EmailNotVerified`.
        """
        return await self._open(account, client, None)

    async def refresh(self, refresh_token: str) -> TokenPair:
        """New tokens for a refresh token, which is used up by it.

        Raises `InvalidToken`, `TokenExpired`, `AccountSuspended`, `RefreshTokenReused`.
        """
        claims = await self._tokens.read(refresh_token, TokenUse.REFRESH)
        key = await self._tokens.key()
        async with self._database.transaction() as tx:
            user = await self._rows.live_user(tx, claims.session_id, claims.user_id)
            pair = self._pair(key, user, claims.session_id)
            life = self._tokens.life(TokenUse.REFRESH)
            swapped = await self._rows.swap(tx, claims.session_id, refresh_token, pair.refresh_token, life)
            if not swapped:
                await self._rows.end(tx, sessions.c.id == claims.session_id, reason=REUSED)
        if not swapped:
            raise RefreshTokenReused(
                "This refresh token was used before, so its session was ended for safety. Log in again."
            )
        return pair

    async def logout(self, session_id: str) -> None:
        """End a session; its tokens are refused from now on. Ending an ended or unknown one changes nothing."""
        async with self._database.transaction() as tx:
            await self._rows.end(tx, sessions.c.id == session_id, reason="logout")

    async def logout_all(self, user_id: str, except_session: str | None = None) -> int:
        """End all sessions of a user, but for one to keep; the number of sessions ended."""
        where = sessions.c.user_id == user_id
        if except_session is not None:
            where = where & (sessions.c.id != except_session)
        async with self._database.transaction() as tx:
            await repository.void_sign_in_codes(tx, user_id)
            return await self._rows.end(tx, where, reason="logout_all")

    def cached(self, credential: str) -> Principal | None:
        """Who is calling, if that is known without any work; else `authenticate` finds out."""
        return self._cache.get(credential)

    async def authenticate(self, credential: str) -> Principal:
        """Who is calling with this access token or API key.

        Raises `InvalidToken`, `TokenExpired`, `AccountSuspended`.
        """
        return await self._cache.resolve(credential, partial(self._look_up, credential))

    async def _look_up(self, credential: str) -> Verified:
        verified = await self._credentials.look_up(credential)
        self._activity.seen(verified.principal)
        return verified

    async def _proven(
        self, identifier: str, password: str, client: str | None
    ) -> tuple[repository.Account, str | None]:
        """The account, and the hash that is to take the place of its password's. Raises `InvalidCredentials`."""
        account = await self._find(identifier)
        right, renewed_hash = await self._passwords.verify(password, account.password_hash if account else None)
        if account is None or not right:
            log.info("login refused", user_id=account.user.id if account else None, client=shown(client))
            raise _wrong_credentials()
        return account, renewed_hash

    async def _find(self, identifier: str) -> repository.Account | None:
        where = _named(identifier.strip())
        if where is None:
            return None
        async with self._database.reading() as tx:
            return await repository.find_account(tx, where)

    async def _open(self, account: repository.Account, client: str | None, renewed_hash: str | None) -> TokenPair:
        key = await self._tokens.key()
        async with self._database.transaction() as tx:
            user = await self._unchanged(tx, account)
            self._refuse(user)
            if renewed_hash is not None:
                await repository.change_user(tx, user.id, password_hash=renewed_hash)
            session_id = self._ids.new()
            pair = self._pair(key, user, session_id)
            life = self._tokens.life(TokenUse.REFRESH)
            await self._rows.add(tx, session_id, user.id, pair.refresh_token, life, client)
        return pair

    async def _unchanged(self, tx: Transaction, account: repository.Account) -> User:
        """The user as of now: the password may have been changed since it was checked."""
        same = (users.c.id == account.user.id) & (users.c.password_hash == account.password_hash)
        present = await repository.find_account(tx, same, lock=True)
        if present is None:
            raise _wrong_credentials()
        return present.user

    def _refuse(self, user: User) -> None:
        if user.status is not UserStatus.ACTIVE:
            raise suspended()
        if self._require_verified and not user.email_verified:
            raise EmailNotVerified("Verify your e-mail address first: open the link that was sent to it.")

    def _pair(self, key: SigningKey, user: User, session_id: str) -> TokenPair:
        access, refresh = (
            self._tokens.sign(key, use, user_id=user.id, session_id=session_id)
            for use in (TokenUse.ACCESS, TokenUse.REFRESH)
        )
        return TokenPair(access, refresh, int(self._tokens.life(TokenUse.ACCESS).total_seconds()), user)


def _named(identifier: str) -> ColumnElement[bool] | None:
    """The condition that finds a login's user; None where nobody can have such a name."""
    if is_username(identifier):
        return users.c.username_key == identifier.lower()
    try:
        return users.c.email == normal_email(identifier)
    except InvalidEmail:
        return None


def _wrong_credentials() -> InvalidCredentials:
    return InvalidCredentials("The login or the password is wrong. Check both, or ask for a new password.")
