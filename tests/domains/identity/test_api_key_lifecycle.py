"""API keys: made, used within their limits, ended."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from cloudyard.domains.identity import (
    ApiKey,
    ApiKeyNotFound,
    InvalidApiKey,
    InvalidToken,
    ModelNotAllowed,
    Principal,
    Role,
    Scope,
    ScopeMissing,
    TokenExpired,
    TooManyApiKeys,
    User,
    UserNotFound,
    check_key_rights,
)
from cloudyard.domains.identity.api_keys import LIVE_KEYS_A_USER
from cloudyard.domains.identity.models import api_keys
from cloudyard.foundation.database import Database
from cloudyard.foundation.errors import DomainError
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts


async def test_a_key_is_shown_once_and_stored_as_a_hash(
    identity: IdentityParts, ada: User, database: Database, clock: ManualClock
) -> None:
    key, secret = await identity.api_keys.create(ada.id, name=" my  laptop ")
    assert len(secret) == 35
    assert (key.name, key.prefix, key.user_id, key.created_at) == ("my laptop", secret[:11], ada.id, clock.now())
    assert (key.scopes, key.allowed_models, key.expires_at, key.spend_cap_nanos) == (None, None, None, None)
    async with database.reading() as tx:
        (row,) = await tx.all(select(api_keys))
    assert secret not in str(row)
    assert secret not in str(await identity.audit.list(action="api_key.created"))
    principal = await identity.sessions.authenticate(secret)
    assert principal == Principal(ada.id, Role.USER, None, key)


async def test_limits_travel_with_the_principal(identity: IdentityParts, ada: User, clock: ManualClock) -> None:
    expires_at = clock.now() + timedelta(days=1)
    created, secret = await identity.api_keys.create(
        ada.id,
        name="ci",
        scopes=["inference", "files"],
        allowed_models=["small", "large"],
        expires_at=expires_at,
        spend_cap_nanos=2**62,
        requests_per_minute=60,
        tokens_per_minute=10_000,
    )
    principal = await identity.sessions.authenticate(secret)
    assert principal.api_key == created == await identity.api_keys.get(ada.id, created.id)
    assert created.scopes == frozenset({Scope.INFERENCE, Scope.FILES})
    assert created.allowed_models == frozenset({"small", "large"})
    assert (created.spend_cap_nanos, created.requests_per_minute, created.tokens_per_minute) == (2**62, 60, 10_000)
    assert created.expires_at == expires_at
    assert principal.allows(Scope.INFERENCE)
    assert not principal.allows(Scope.WALLET)
    assert principal.may_use_model("small")
    assert not principal.may_use_model("huge")
    principal.require(Scope.FILES)
    principal.require_model("large")
    with pytest.raises(ScopeMissing):
        principal.require(Scope.ACCOUNT)
    with pytest.raises(ModelNotAllowed):
        principal.require_model("huge")


async def test_an_expired_key_is_refused_at_its_very_end(
    identity: IdentityParts, ada: User, clock: ManualClock
) -> None:
    _, secret = await identity.api_keys.create(ada.id, name="brief", expires_at=clock.now() + timedelta(seconds=10.5))
    clock.advance(10)
    await identity.sessions.authenticate(secret)
    clock.advance(0.5)
    assert identity.sessions.cached(secret) is None
    with pytest.raises(TokenExpired):
        await identity.sessions.authenticate(secret)


async def test_a_revoked_key_fails_at_once_and_is_gone(identity: IdentityParts, ada: User) -> None:
    key, secret = await identity.api_keys.create(ada.id, name="key")
    other, other_secret = await identity.api_keys.create(ada.id, name="other")
    await identity.sessions.authenticate(secret)
    await identity.api_keys.revoke(ada.id, key.id)
    assert identity.sessions.cached(secret) is None
    with pytest.raises(InvalidToken):
        await identity.sessions.authenticate(secret)
    assert (await identity.sessions.authenticate(other_secret)).api_key == other
    assert await identity.api_keys.list(ada.id) == [other]
    with pytest.raises(ApiKeyNotFound):
        await identity.api_keys.get(ada.id, key.id)
    with pytest.raises(ApiKeyNotFound):
        await identity.api_keys.revoke(ada.id, key.id)
    (entry,) = await identity.audit.list(subject=f"api_key:{key.id}", action="api_key.revoked")
    assert entry.actor == ada.id


async def test_an_unknown_scope_is_told_those_that_there_are(identity: IdentityParts, ada: User) -> None:
    with pytest.raises(InvalidApiKey) as caught:
        await identity.api_keys.create(ada.id, name="key", scopes=["inference", "everything"])
    known = "inference, files, wallet, account, admin"
    assert caught.value.message == f"There is no scope 'everything'. The scopes are {known}."


async def test_the_keys_of_others_do_not_exist(identity: IdentityParts, ada: User) -> None:
    bob = await identity.users.register(email="bob@example.com", password="correct horse")
    key, secret = await identity.api_keys.create(ada.id, name="key")
    for key_id in (key.id, "unknown", "\x00", ""):
        with pytest.raises(ApiKeyNotFound):
            await identity.api_keys.get(bob.id, key_id)
        with pytest.raises(ApiKeyNotFound):
            await identity.api_keys.revoke(bob.id, key_id)
    assert await identity.api_keys.list(bob.id) == []
    assert (await identity.sessions.authenticate(secret)).user_id == ada.id


async def test_admin_scope_needs_an_administrator_at_the_making_and_at_every_use(
    identity: IdentityParts, ada: User
) -> None:
    with pytest.raises(ScopeMissing):
        await identity.api_keys.create(ada.id, name="key", scopes=["admin"])
    await identity.users.ensure_admin("root@example.com", "admin password")
    await identity.users.set_role(ada.id, Role.ADMIN)
    _, wide = await identity.api_keys.create(ada.id, name="wide")
    _, narrow = await identity.api_keys.create(ada.id, name="narrow", scopes=["inference"])
    assert (await identity.sessions.authenticate(wide)).is_admin
    assert not (await identity.sessions.authenticate(narrow)).is_admin
    await identity.users.set_role(ada.id, Role.USER)
    assert not (await identity.sessions.authenticate(wide)).is_admin


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"scopes": ["inference", "everything"]}, "scopes"),
        ({"allowed_models": [""]}, "allowed_models"),
        ({"allowed_models": ["a\x00"]}, "allowed_models"),
        ({"allowed_models": [str(n) for n in range(101)]}, "allowed_models"),
        ({"spend_cap_nanos": -1}, "spend_cap"),
        ({"spend_cap_nanos": 2**63}, "spend_cap"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"tokens_per_minute": 2**31}, "tokens_per_minute"),
    ],
)
async def test_impossible_keys_are_refused(
    identity: IdentityParts, ada: User, wrong: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidApiKey) as caught:
        await identity.api_keys.create(ada.id, **{"name": "key"} | wrong)
    assert caught.value.field == field
    assert await identity.api_keys.list(ada.id) == []


async def test_a_key_cannot_begin_expired_or_without_a_zone(
    identity: IdentityParts, ada: User, clock: ManualClock
) -> None:
    for moment in (clock.now(), clock.now().replace(tzinfo=None) + timedelta(days=1)):
        with pytest.raises(InvalidApiKey) as caught:
            await identity.api_keys.create(ada.id, name="key", expires_at=moment)
        assert caught.value.field == "expires_at"


async def test_a_key_needs_a_user(identity: IdentityParts) -> None:
    with pytest.raises(UserNotFound):
        await identity.api_keys.create("unknown", name="key")


async def test_a_user_has_a_bounded_number_of_live_keys(identity: IdentityParts, ada: User, clock: ManualClock) -> None:
    brief, _ = await identity.api_keys.create(ada.id, name="brief", expires_at=clock.now() + timedelta(seconds=1))
    keys = [(await identity.api_keys.create(ada.id, name=f"key {n}"))[0] for n in range(LIVE_KEYS_A_USER - 1)]
    with pytest.raises(TooManyApiKeys):
        await identity.api_keys.create(ada.id, name="one more")
    await identity.api_keys.revoke(ada.id, keys[0].id)
    await asyncio.gather(*(identity.recovery.send_verification(ada.id) for _ in range(5)))  # connections stand ready
    outcomes = await asyncio.gather(
        *(identity.api_keys.create(ada.id, name="in its place") for _ in range(5)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["TooManyApiKeys"] * 4 + ["tuple"]
    clock.advance(1)
    await identity.api_keys.create(ada.id, name="in the place of the expired one")
    assert brief in await identity.api_keys.list(ada.id)


def _caller(clock: ManualClock, **limits: Any) -> Principal:
    nothing: dict[str, Any] = dict.fromkeys(ApiKey.__dataclass_fields__)
    key = ApiKey(**nothing | {"id": "k", "user_id": "ada", "created_at": clock.now()} | limits)
    return Principal("ada", Role.USER, None, key)


ACCOUNT_AND_FILES = frozenset({Scope.ACCOUNT, Scope.FILES})


@pytest.mark.parametrize(
    ("limits", "wanted", "allowed"),
    [
        ({}, {}, True),
        ({}, {"scopes": ["inference"]}, True),
        ({"scopes": frozenset({Scope.INFERENCE})}, {"scopes": ["inference"]}, False),
        ({"scopes": ACCOUNT_AND_FILES}, {"scopes": ["files"]}, True),
        ({"scopes": ACCOUNT_AND_FILES}, {"scopes": [Scope.ACCOUNT, Scope.FILES]}, True),
        ({"scopes": ACCOUNT_AND_FILES}, {"scopes": ["files", "wallet"]}, False),
        ({"scopes": ACCOUNT_AND_FILES}, {"scopes": None}, False),
        ({"allowed_models": frozenset({"small"})}, {"allowed_models": ["small"]}, True),
        ({"allowed_models": frozenset({"small"})}, {"allowed_models": ["small", "huge"]}, False),
        ({"allowed_models": frozenset({"small"})}, {"allowed_models": None}, False),
        ({"spend_cap_nanos": 0}, {}, False),
        ({"requests_per_minute": 1}, {}, False),
        ({"tokens_per_minute": 1}, {}, False),
    ],
)
def test_a_key_makes_no_key_with_more_rights_than_its_own(
    clock: ManualClock, limits: dict[str, Any], wanted: dict[str, Any], allowed: bool
) -> None:
    everything = {"scopes": None, "allowed_models": None, "expires_at": None}
    caller = _caller(clock, **limits)
    if allowed:
        check_key_rights(caller, **everything | wanted)
        return
    with pytest.raises(ScopeMissing):
        check_key_rights(caller, **everything | wanted)


def test_a_key_makes_no_key_that_outlives_it(clock: ManualClock) -> None:
    end = clock.now() + timedelta(days=1)
    caller = _caller(clock, expires_at=end)
    check_key_rights(caller, scopes=None, allowed_models=None, expires_at=end)
    for longer in (None, end + timedelta(seconds=1)):
        with pytest.raises(ScopeMissing):
            check_key_rights(caller, scopes=None, allowed_models=None, expires_at=longer)


def test_a_session_makes_any_key(clock: ManualClock) -> None:
    session = Principal("ada", Role.USER, "session", None)
    check_key_rights(session, scopes=None, allowed_models=None, expires_at=None)
    assert session.allows(Scope.WALLET)
    assert session.may_use_model("any")
    assert not session.allows(Scope.ADMIN)


def test_every_error_is_a_domain_error_with_a_code_of_its_own() -> None:
    from cloudyard.domains.identity import errors

    found = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, DomainError)]
    codes = [error.code for error in found if error is not DomainError]
    assert len(codes) > 20
    assert len(set(codes)) == len(codes)
