"""What users let applications do in their name: OAuth 2.1's authorization code grant with PKCE, and refresh tokens.

A delegation is a session of its own kind. Its first secret is the authorization code, each later one the refresh token
that counts; whichever comes a second time ends it (RFC 6749, section 4.1.2; RFC 9700, section 4.14.2). It ends with
the user's sessions too: by suspension, a new password, or a log-out everywhere.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from hmac import compare_digest
from typing import Any

from sqlalchemy import Row, Select, insert, select, update

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.identity import repository
from cloudyard.domains.identity.activity import Activity
from cloudyard.domains.identity.credential_cache import CredentialCache, Verified
from cloudyard.domains.identity.delegation_models import delegations
from cloudyard.domains.identity.errors import AccountSuspended, InvalidCredentials, InvalidToken
from cloudyard.domains.identity.hashing import code_challenge, secret_hash
from cloudyard.domains.identity.models import sessions, users
from cloudyard.domains.identity.oauth_clients import OAuthClient
from cloudyard.domains.identity.oauth_errors import DelegationNotFound, InvalidGrant, InvalidScope
from cloudyard.domains.identity.records import Delegation, Principal, Role, Scope, User, UserStatus
from cloudyard.domains.identity.session_rows import CODE_REUSED, REUSED, SessionRows, suspended
from cloudyard.domains.identity.signing_keys import SigningKey
from cloudyard.domains.identity.tokens import Tokens, TokenUse
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.ids import Ids

GRANTABLE = (Scope.INFERENCE, Scope.FILES, Scope.WALLET)
"""What an application can be allowed; an account is nobody's to change but its owner's."""
CODE_LIFE = timedelta(seconds=60)
REALM = b"mcp"
REVOKED = "application_revoked"

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636, section 4.2, with S256
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636, section 4.1


@dataclass(frozen=True, slots=True)
class Consent:
    """What a user agreed to: which application may do what, where its code goes, and what the code is tied to."""

    client: OAuthClient
    scopes: frozenset[Scope]
    redirect_uri: str
    code_challenge: str


@dataclass(frozen=True, slots=True)
class DelegatedTokens:
    """What an application gets. `expires_in` is the life of the access token in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int
    scopes: frozenset[Scope]


class Delegations:
    """Lets applications in, and knows them by their tokens afterwards."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        audit: AuditLog,
        tokens: Tokens,
        cache: CredentialCache,
        activity: Activity,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._audit = audit
        self._tokens = tokens
        self._cache = cache
        self._activity = activity
        self._rows = SessionRows(clock, audit, cache)

    async def grant(self, user: User, consent: Consent) -> str:
        """The authorization code for what a user, who has just proved who it is, agreed to; good once, for a minute.

        Raises `InvalidScope`, `AccountSuspended`, or `InvalidCredentials` where the account has changed meanwhile.
        """
        if not consent.scopes or not consent.scopes.issubset(GRANTABLE):
            raise InvalidScope("Nothing was allowed that an application can be allowed. Choose at least one right.")
        session_id = self._ids.new()
        code = f"{session_id}.{self._ids.token()}"
        async with self._database.transaction() as tx:
            present = (await repository.get_account(tx, user.id, lock=True)).user
            if present.status is not UserStatus.ACTIVE:
                raise suspended()
            if present.updated_at != user.updated_at:
                raise InvalidCredentials("The account was changed a moment ago. Try again.")
            await self._rows.add(tx, session_id, user.id, code, CODE_LIFE, consent.client.name)
            await self._insert(tx, session_id, code, consent)
            details = {"client_id": consent.client.id, "scopes": sorted(consent.scopes)}
            await self._audit.record(tx, user.id, "application.allowed", f"session:{session_id}", details)
        return code

    async def exchange(self, code: str, *, client_id: str, redirect_uri: str, verifier: str) -> DelegatedTokens:
        """Tokens for a code. A code that was used before ends what came of it. Raises `InvalidGrant`."""
        key = await self._tokens.key()
        async with self._database.transaction() as tx:
            row = await tx.first(_joined().where(delegations.c.session_id == _storable(code.partition(".")[0])))
            if row is None or row.client_id != client_id or row.code_hash != secret_hash(code):
                raise _bad_code()
            used = row.exchanged_at is not None
            if not used:
                self._check_code(row, redirect_uri, verifier)
                await self._live(tx, row)
                tokens = self._pair(key, row)
                used = not await self._swap(tx, row.session_id, code, tokens)
            if not used:  # noted by nobody else: two who lock both rows in different order would block each other
                await self._note_exchange(tx, row.session_id)
            else:
                await self._rows.end(tx, sessions.c.id == row.session_id, reason=CODE_REUSED)
        if used:
            raise InvalidGrant("This code was used before, so what came of it was ended for safety. Ask the user anew.")
        return tokens

    async def refresh(
        self, refresh_token: str, *, client_id: str, wanted: frozenset[str] = frozenset()
    ) -> DelegatedTokens:
        """New tokens for a refresh token, which is used up by it. They allow all that the user allowed.

        `wanted` is only checked. Raises `InvalidGrant`, `InvalidScope`.
        """
        try:
            claims = await self._tokens.read(refresh_token, TokenUse.DELEGATED_REFRESH)
        except InvalidToken as error:
            raise _bad_refresh_token() from error
        key = await self._tokens.key()
        async with self._database.transaction() as tx:
            row = await tx.first(_joined().where(delegations.c.session_id == claims.session_id))
            if row is None or row.client_id != client_id:
                raise _bad_refresh_token()
            await self._live(tx, row)
            tokens = self._pair(key, row)
            swapped = await self._swap(tx, row.session_id, refresh_token, tokens)
            if not swapped:
                await self._rows.end(tx, sessions.c.id == row.session_id, reason=REUSED)
            elif not wanted.issubset(row.scopes):  # undoes the swap: the token stays good
                raise InvalidScope("More is asked for than the user has allowed. Ask the user anew.")
        if not swapped:
            raise InvalidGrant(
                "This refresh token was used before, so what the user allowed was ended for safety. Ask the user anew."
            )
        return tokens

    async def revoke_token(self, token: str, *, client_id: str) -> None:
        """End what a token of the application stands for (RFC 7009); a token good for nothing changes nothing."""
        for use in (TokenUse.DELEGATED_REFRESH, TokenUse.DELEGATED_ACCESS):
            try:
                claims = await self._tokens.read(token, use)
            except InvalidToken:
                continue
            async with self._database.transaction() as tx:
                of_client = select(delegations.c.session_id).where(delegations.c.client_id == client_id)
                mine = (sessions.c.id == claims.session_id) & sessions.c.id.in_(of_client)
                await self._rows.end(tx, mine, reason=REVOKED)

    async def list(self, user_id: str) -> Sequence[Delegation]:
        """The applications that the user has let in, the newest first."""
        live = (sessions.c.user_id == user_id, sessions.c.ended_at.is_(None), sessions.c.expires_at > self._clock.now())
        query = _joined().where(*live, delegations.c.exchanged_at.is_not(None)).order_by(sessions.c.id.desc())
        async with self._database.reading() as tx:
            return [_delegation(row) for row in await tx.all(query)]

    async def revoke(self, user_id: str, delegation_id: str) -> None:
        """End what an application may do. Raises `DelegationNotFound`."""
        ids = select(delegations.c.session_id).where(delegations.c.session_id == _storable(delegation_id))
        async with self._database.transaction() as tx:
            mine = (sessions.c.user_id == user_id) & sessions.c.id.in_(ids)
            ended = await self._rows.end(tx, mine, reason=REVOKED)
        if not ended:
            raise DelegationNotFound(
                "You have let in no application with this id. List them to see their ids.",
                details={"id": delegation_id},
            )

    def cached(self, credential: str) -> Principal | None:
        """Who is calling, if that is known without any work; else `authenticate` finds out."""
        return self._cache.get(credential, realm=REALM)

    async def authenticate(self, credential: str) -> Principal:
        """Who is calling with an application's access token.

        Raises `InvalidToken`, `TokenExpired`, `AccountSuspended`.
        """
        return await self._cache.resolve(credential, partial(self._look_up, credential), realm=REALM)

    async def _look_up(self, credential: str) -> Verified:
        claims = await self._tokens.read(credential, TokenUse.DELEGATED_ACCESS)
        query = _joined().where(delegations.c.session_id == claims.session_id, sessions.c.user_id == claims.user_id)
        async with self._database.reading() as tx:
            row = await tx.first(query)
        if row is not None and row.status != UserStatus.ACTIVE.value:
            raise suspended()
        if row is None or row.ended_at is not None:
            raise InvalidToken("What the user had allowed this application has ended. Ask the user anew.")
        principal = Principal(claims.user_id, Role(row.role), None, None, _delegation(row))
        self._activity.seen(principal)
        return Verified(principal, claims.accepted_until)

    async def _insert(self, tx: Transaction, session_id: str, code: str, consent: Consent) -> None:
        await tx.execute(
            insert(delegations).values(
                session_id=session_id,
                client_id=consent.client.id,
                client_name=consent.client.name,
                scopes=sorted(consent.scopes),
                redirect_uri=consent.redirect_uri,
                code_hash=secret_hash(code),
                code_challenge=consent.code_challenge,
            )
        )

    async def _note_exchange(self, tx: Transaction, session_id: str) -> None:
        mine = delegations.c.session_id == session_id
        await tx.execute(update(delegations).where(mine).values(exchanged_at=self._clock.now()))

    def _check_code(self, row: Row[Any], redirect_uri: str, verifier: str) -> None:
        if row.expires_at <= self._clock.now():
            raise InvalidGrant("This code has expired: it is good for a minute. Ask the user anew.")
        if row.redirect_uri != redirect_uri:
            raise InvalidGrant("The redirect_uri is not the one that the code was sent to.")
        if _VERIFIER.fullmatch(verifier) is None or not compare_digest(code_challenge(verifier), row.code_challenge):
            raise InvalidGrant("The code_verifier does not fit the code_challenge of the request for the code.")

    async def _live(self, tx: Transaction, row: Row[Any]) -> None:
        try:
            await self._rows.live_user(tx, row.session_id, row.user_id)
        except (InvalidToken, AccountSuspended) as error:
            raise InvalidGrant("What the user had allowed has ended. Ask the user anew.") from error

    def _pair(self, key: SigningKey, row: Row[Any]) -> DelegatedTokens:
        access, refresh = (
            self._tokens.sign(key, use, user_id=row.user_id, session_id=row.session_id)
            for use in (TokenUse.DELEGATED_ACCESS, TokenUse.DELEGATED_REFRESH)
        )
        life = int(self._tokens.life(TokenUse.DELEGATED_ACCESS).total_seconds())
        return DelegatedTokens(access, refresh, life, _scopes(row))

    async def _swap(self, tx: Transaction, session_id: str, old: str, tokens: DelegatedTokens) -> bool:
        life = self._tokens.life(TokenUse.DELEGATED_REFRESH)
        return await self._rows.swap(tx, session_id, old, tokens.refresh_token, life)


def is_challenge(text: str) -> bool:
    """Whether a text can be the challenge of S256."""
    return _CHALLENGE.fullmatch(text) is not None


def _joined() -> Select[Any]:
    session = (sessions.c.user_id, sessions.c.created_at, sessions.c.refreshed_at, sessions.c.expires_at)
    return (
        select(*delegations.c, *session, sessions.c.ended_at, users.c.role, users.c.status)
        .join(sessions, sessions.c.id == delegations.c.session_id)
        .join(users, users.c.id == sessions.c.user_id)
    )


def _delegation(row: Row[Any]) -> Delegation:
    used_at: datetime = row.refreshed_at
    return Delegation(
        row.session_id, row.user_id, row.client_id, row.client_name, _scopes(row), row.created_at, used_at
    )


def _scopes(row: Row[Any]) -> frozenset[Scope]:
    return frozenset(Scope(scope) for scope in row.scopes)


def _storable(text: str) -> str:
    return text if len(text) <= 64 and repository.storable(text) else ""


def _bad_code() -> InvalidGrant:
    return InvalidGrant("There is no such code for this client. Ask the user anew.")


def _bad_refresh_token() -> InvalidGrant:
    return InvalidGrant("This refresh token is not good for this client, or not any more. Ask the user anew.")
