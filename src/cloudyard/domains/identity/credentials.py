"""Whose credential it is: an access token or an API key, checked against the database."""

import re
from typing import Any

from sqlalchemy import Row, select

from cloudyard.domains.identity import repository
from cloudyard.domains.identity.credential_cache import Verified
from cloudyard.domains.identity.errors import AccountSuspended, InvalidToken, TokenExpired
from cloudyard.domains.identity.hashing import secret_hash
from cloudyard.domains.identity.models import api_keys, sessions, users
from cloudyard.domains.identity.records import Principal, Role, UserStatus
from cloudyard.domains.identity.tokens import Tokens, TokenUse
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database

KEY_PREFIX = "nk_"
_KEY = re.compile(rf"{KEY_PREFIX}[0-9a-f]{{32}}")


class Credentials:
    """Looks credentials up. Role and state come from the database and not from the token, so a change holds at once."""

    def __init__(self, database: Database, clock: Clock, tokens: Tokens) -> None:
        self._database = database
        self._clock = clock
        self._tokens = tokens

    async def look_up(self, credential: str) -> Verified:
        """The principal behind it. Raises `InvalidToken`, `TokenExpired` or `AccountSuspended`."""
        if credential.startswith(KEY_PREFIX):
            return await self._of_key(credential)
        return await self._of_token(credential)

    async def _of_token(self, token: str) -> Verified:
        claims = await self._tokens.read(token, TokenUse.ACCESS)
        query = (
            select(users.c.role, users.c.status, sessions.c.ended_at)
            .join(users, users.c.id == sessions.c.user_id)
            .where(sessions.c.id == claims.session_id, sessions.c.user_id == claims.user_id)
        )
        async with self._database.reading() as tx:
            row = await tx.first(query)
        _refuse_suspended(row)
        if row is None or row.ended_at is not None:
            raise InvalidToken("The session of this token has ended. Log in again.")
        principal = Principal(claims.user_id, Role(row.role), claims.session_id, None)
        return Verified(principal, claims.accepted_until)

    async def _of_key(self, secret: str) -> Verified:
        if _KEY.fullmatch(secret) is None:
            raise _unknown_key()
        query = (
            select(*api_keys.c, users.c.role, users.c.status)
            .join(users, users.c.id == api_keys.c.user_id)
            .where(api_keys.c.key_hash == secret_hash(secret))
        )
        async with self._database.reading() as tx:
            row = await tx.first(query)
        if row is None or row.revoked_at is not None:
            raise _unknown_key()
        if row.expires_at is not None and row.expires_at <= self._clock.now():
            raise TokenExpired("This API key has expired. Create a new one.")
        _refuse_suspended(row)
        return Verified(Principal(row.user_id, Role(row.role), None, repository.api_key_of(row)), row.expires_at)


def _refuse_suspended(row: Row[Any] | None) -> None:
    if row is not None and row.status != UserStatus.ACTIVE.value:
        raise AccountSuspended("This account is suspended. Ask an administrator.")


def _unknown_key() -> InvalidToken:
    return InvalidToken("There is no such API key, or it was revoked. Create a new one.")
