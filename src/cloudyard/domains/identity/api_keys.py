"""API keys: `nk_` and 32 hexadecimal digits, shown once, stored as a hash."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, and_, func, insert, or_, select, update

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.identity import repository
from cloudyard.domains.identity.credential_cache import CredentialCache
from cloudyard.domains.identity.credentials import KEY_PREFIX
from cloudyard.domains.identity.errors import ApiKeyNotFound, ScopeMissing, TooManyApiKeys
from cloudyard.domains.identity.hashing import secret_hash
from cloudyard.domains.identity.key_rights import (
    checked_expiry,
    checked_models,
    checked_name,
    checked_number,
    checked_scopes,
)
from cloudyard.domains.identity.models import api_keys
from cloudyard.domains.identity.records import ApiKey, Role, Scope
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.ids import Ids

LIVE_KEYS_A_USER = 100
SHOWN_CHARACTERS = len(KEY_PREFIX) + 8
LARGEST_RATE = 2**31 - 1
LARGEST_AMOUNT = 2**63 - 1


class ApiKeys:
    """The keys of users. A revoked key fails at once in this process, and for good."""

    def __init__(self, database: Database, clock: Clock, ids: Ids, audit: AuditLog, cache: CredentialCache) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._audit = audit
        self._cache = cache

    async def create(
        self,
        user_id: str,
        *,
        name: str,
        scopes: Iterable[str] | None = None,
        allowed_models: Iterable[str] | None = None,
        expires_at: datetime | None = None,
        spend_cap_nanos: int | None = None,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key and its secret, which cannot be had again. Scopes and models of None mean all that the user may.

        Where the caller is itself an API key, `check_key_rights` comes first.
        Raises `InvalidApiKey`, `ScopeMissing`, `TooManyApiKeys`, `UserNotFound`.
        """
        granted, models = checked_scopes(scopes), checked_models(allowed_models)
        secret = KEY_PREFIX + self._ids.hex(16)
        values = {
            "id": self._ids.new(),
            "user_id": user_id,
            "name": checked_name(name),
            "prefix": secret[:SHOWN_CHARACTERS],
            "key_hash": secret_hash(secret),
            "scopes": None if granted is None else sorted(granted),
            "allowed_models": None if models is None else sorted(models),
            "expires_at": checked_expiry(expires_at, self._clock.now()),
            "spend_cap_nanos": checked_number(spend_cap_nanos, least=0, most=LARGEST_AMOUNT, field="spend_cap"),
            "requests_per_minute": checked_number(
                requests_per_minute, least=1, most=LARGEST_RATE, field="requests_per_minute"
            ),
            "tokens_per_minute": checked_number(
                tokens_per_minute, least=1, most=LARGEST_RATE, field="tokens_per_minute"
            ),
            "created_at": self._clock.now(),
        }
        async with self._database.transaction() as tx:
            await self._check_owner(tx, user_id, granted)
            return await self._insert(tx, values), secret

    async def list(self, user_id: str) -> Sequence[ApiKey]:
        """The user's keys that are not revoked, newest first."""
        mine = (api_keys.c.user_id == user_id, api_keys.c.revoked_at.is_(None))
        query = select(api_keys).where(*mine).order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc())
        async with self._database.reading() as tx:
            return [repository.api_key_of(row) for row in await tx.all(query)]

    async def get(self, user_id: str, key_id: str) -> ApiKey:
        """One of the user's keys that are not revoked. Raises `ApiKeyNotFound`."""
        async with self._database.reading() as tx:
            row = await tx.first(select(api_keys).where(_live(user_id, key_id)))
        if row is None:
            raise _not_found(key_id)
        return repository.api_key_of(row)

    async def revoke(self, user_id: str, key_id: str, *, actor: str | None = None) -> None:
        """End a key for good. `actor` is who does it, by default the user. Raises `ApiKeyNotFound`."""
        ending = update(api_keys).where(_live(user_id, key_id)).values(revoked_at=self._clock.now())
        async with self._database.transaction() as tx:
            if (await tx.execute(ending)).rowcount == 0:
                raise _not_found(key_id)
            await self._audit.record(tx, actor or user_id, "api_key.revoked", f"api_key:{key_id}")
            tx.after_commit(partial(self._cache.forget, user_id))

    async def _check_owner(self, tx: Transaction, user_id: str, granted: frozenset[Scope] | None) -> None:
        owner = (await repository.get_account(tx, user_id, lock=True)).user
        if granted is not None and Scope.ADMIN in granted and owner.role is not Role.ADMIN:
            raise ScopeMissing("Only an administrator can have a key with the scope `admin`. Leave it out.")
        live = (api_keys.c.user_id == user_id, api_keys.c.revoked_at.is_(None), self._unexpired())
        if await tx.scalar(select(func.count()).select_from(api_keys).where(*live)) >= LIVE_KEYS_A_USER:
            raise TooManyApiKeys(f"You have {LIVE_KEYS_A_USER} API keys, which is the most. Revoke one first.")

    async def _insert(self, tx: Transaction, values: dict[str, Any]) -> ApiKey:
        row = (await tx.execute(insert(api_keys).values(**values).returning(*api_keys.c))).one()
        shown = {name: values[name] for name in ("name", "prefix", "scopes", "allowed_models")}
        await self._audit.record(tx, values["user_id"], "api_key.created", f"api_key:{row.id}", shown)
        return repository.api_key_of(row)

    def _unexpired(self) -> ColumnElement[bool]:
        return or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > self._clock.now())


def _live(user_id: str, key_id: str) -> ColumnElement[bool]:
    usable = key_id if repository.storable(key_id) else ""
    return and_(api_keys.c.id == usable, api_keys.c.user_id == user_id, api_keys.c.revoked_at.is_(None))


def _not_found(key_id: str) -> ApiKeyNotFound:
    return ApiKeyNotFound("You have no API key with this id. List your keys to see their ids.", details={"id": key_id})
