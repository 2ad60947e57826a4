"""Statements that several services of identity share, and rows turned into records."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, delete, insert, select, update

from cloudyard.domains.identity.errors import UserNotFound
from cloudyard.domains.identity.models import api_keys, external_identities, sessions, sign_in_codes, users
from cloudyard.domains.identity.records import ApiKey, Role, Scope, User, UserStatus
from cloudyard.foundation.database import Transaction


@dataclass(frozen=True, slots=True)
class Account:
    """A user with the hash of the password, which stays inside identity."""

    user: User
    password_hash: str


def storable(text: str) -> bool:
    """Whether a text from outside may be compared with a column (PostgreSQL refuses NUL and half characters)."""
    return text.isprintable()


async def find_account(tx: Transaction, where: ColumnElement[bool], *, lock: bool = False) -> Account | None:
    """The account that matches; locked against changes until the transaction ends, if so wished."""
    query: Select[Any] = select(users).where(where)
    row = await tx.first(query.with_for_update() if lock else query)
    return Account(user_of(row), row.password_hash) if row is not None else None


async def get_account(tx: Transaction, user_id: str, *, lock: bool = False) -> Account:
    """The account of that id. Raises `UserNotFound`."""
    account = await find_account(tx, users.c.id == user_id, lock=lock) if storable(user_id) else None
    if account is None:
        raise UserNotFound("There is no user with this id. Check the id.", details={"user_id": user_id})
    return account


async def add_user(tx: Transaction, **values: Any) -> User:
    """Insert a user."""
    return user_of((await tx.execute(insert(users).values(**values).returning(*users.c))).one())


async def change_user(tx: Transaction, user_id: str, **values: Any) -> User:
    """Write columns of a user who exists."""
    statement = update(users).where(users.c.id == user_id).values(**values).returning(*users.c)
    return user_of((await tx.execute(statement)).one())


async def end_sessions(
    tx: Transaction, where: ColumnElement[bool], *, now: datetime, reason: str
) -> Sequence[tuple[str, str]]:
    """End the live sessions that match; the id and the user of each."""
    ending = update(sessions).where(where, sessions.c.ended_at.is_(None)).values(ended_at=now, end_reason=reason)
    rows = (await tx.execute(ending.returning(sessions.c.id, sessions.c.user_id))).all()
    return [(row.id, row.user_id) for row in rows]


async def void_sign_in_codes(tx: Transaction, user_id: str) -> None:
    """Let no code open a session any more: what ends a user's sessions ends those too that nobody came for yet."""
    await tx.execute(delete(sign_in_codes).where(sign_in_codes.c.user_id == user_id))


async def end_other_ways_in(tx: Transaction, user_id: str, *, now: datetime) -> tuple[int, int]:
    """Revoke a user's API keys and forget the identities at providers; how many of each there were."""
    live = (api_keys.c.user_id == user_id, api_keys.c.revoked_at.is_(None))
    keys = await tx.execute(update(api_keys).where(*live).values(revoked_at=now))
    identities = await tx.execute(delete(external_identities).where(external_identities.c.user_id == user_id))
    return keys.rowcount, identities.rowcount


def user_of(row: Row[Any]) -> User:
    """A row of `users` as a record."""
    return User(
        id=row.id,
        email=row.email,
        username=row.username,
        first_name=row.first_name,
        last_name=row.last_name,
        company=row.company,
        phone=row.phone,
        timezone=row.timezone,
        language=row.language,
        role=Role(row.role),
        status=UserStatus(row.status),
        email_verified=row.email_verified,
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_active_at=row.last_active_at,
    )


def api_key_of(row: Row[Any]) -> ApiKey:
    """A row of `api_keys` as a record."""
    return ApiKey(
        id=row.id,
        user_id=row.user_id,
        name=row.name,
        prefix=row.prefix,
        scopes=None if row.scopes is None else frozenset(Scope(scope) for scope in row.scopes),
        allowed_models=None if row.allowed_models is None else frozenset(row.allowed_models),
        expires_at=row.expires_at,
        spend_cap_nanos=row.spend_cap_nanos,
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
