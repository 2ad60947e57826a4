"""Login, refresh, logout, and who is calling."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import func, select

from cloudyard.domains.identity import (
    EmailNotVerified,
    InvalidCredentials,
    InvalidToken,
    Principal,
    RefreshTokenReused,
    Role,
    TokenExpired,
    TokenPair,
    User,
    UserNotFound,
)
from cloudyard.domains.identity.models import sessions
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.settings.security import SecuritySettings
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts, identity_parts

HOUR = 3600


@pytest.fixture
async def pair(identity: IdentityParts, ada: User) -> TokenPair:
    return await identity.sessions.login("ada@example.com", "correct horse", client="pytest")


@pytest.mark.parametrize("identifier", ["ada@example.com", " ADA@Example.com ", "ada_l", "ADA_L"])
async def test_login_by_address_or_username(identity: IdentityParts, ada: User, identifier: str) -> None:
    pair = await identity.sessions.login(identifier, "correct horse", client="curl/8\n\x00" + "x" * 500)
    assert (pair.user, pair.expires_in) == (ada, HOUR)
    assert pair.access_token.count(".") == pair.refresh_token.count(".") == 2
    principal = await identity.sessions.authenticate(pair.access_token)
    assert principal == Principal(ada.id, Role.USER, principal.session_id, None)
    (entry, *_) = await identity.audit.list(action="session.started")
    assert (entry.actor, entry.subject) == (ada.id, f"session:{principal.session_id}")
    assert entry.details["client"].startswith("curl/8xxx")


@pytest.mark.parametrize(
    ("identifier", "password"),
    [
        ("ada@example.com", "wrong horse"),
        ("ada@example.com", ""),
        ("ada@example.com", "correct horse "),
        ("ada@example.com", "x" * 100_000),
        ("nobody@example.com", "correct horse"),
        ("nobody", "correct horse"),
        ("", "correct horse"),
        ("ada_l' OR '1'='1", "correct horse"),
        ("ada\x00_l", "correct horse"),
        ("\ud800", "\ud800"),
    ],
)
async def test_wrong_logins_are_refused_alike(
    identity: IdentityParts, ada: User, database: Database, identifier: str, password: str
) -> None:
    with pytest.raises(InvalidCredentials) as caught:
        await identity.sessions.login(identifier, password)
    assert caught.value.message == "The login or the password is wrong. Check both, or ask for a new password."
    assert caught.value.details == {}
    async with database.reading() as tx:
        assert await tx.scalar(select(func.count()).select_from(sessions)) == 0


async def test_a_session_without_password_for_who_has_just_registered(identity: IdentityParts, ada: User) -> None:
    pair = await identity.sessions.start(ada.id)
    assert (await identity.sessions.authenticate(pair.access_token)).user_id == ada.id
    with pytest.raises(UserNotFound):
        await identity.sessions.start("unknown")


async def test_login_may_require_a_verified_address(
    database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, tmp_path: Path
) -> None:
    strict = SecuritySettings(require_verified_email=True)
    identity = identity_parts(database, clock, ids, outbox, tmp_path / "mail", settings=strict)
    ada = await identity.users.register(email="ada@example.com", password="correct horse")
    for attempt in (identity.sessions.login("ada@example.com", "correct horse"), identity.sessions.start(ada.id)):
        with pytest.raises(EmailNotVerified):
            await attempt
    with pytest.raises(InvalidCredentials):
        await identity.sessions.login("ada@example.com", "wrong horse")
    await identity.recovery.verify_email(await identity.mailed_token("ada@example.com", "verify-email"))
    await identity.sessions.login("ada@example.com", "correct horse")


async def test_an_access_token_ends_with_its_time(identity: IdentityParts, pair: TokenPair, clock: ManualClock) -> None:
    clock.advance(HOUR)
    await identity.sessions.authenticate(pair.access_token)
    clock.advance(5)
    assert identity.sessions.cached(pair.access_token) is None
    with pytest.raises(TokenExpired):
        await identity.sessions.authenticate(pair.access_token)


async def test_refresh_gives_new_tokens_of_the_same_session(
    identity: IdentityParts, pair: TokenPair, clock: ManualClock
) -> None:
    clock.advance(HOUR + 10)
    fresh = await identity.sessions.refresh(pair.refresh_token)
    assert len({pair.access_token, pair.refresh_token, fresh.access_token, fresh.refresh_token}) == 4
    again = await identity.sessions.refresh(fresh.refresh_token)
    first = await identity.sessions.authenticate(fresh.access_token)
    assert first == await identity.sessions.authenticate(again.access_token)


async def test_refreshing_keeps_a_session_alive_beyond_its_first_end(
    identity: IdentityParts, pair: TokenPair, clock: ManualClock
) -> None:
    for _ in range(3):
        clock.advance(20 * 86400)
        pair = await identity.sessions.refresh(pair.refresh_token)
        await identity.cleanup.run()
    clock.advance(30 * 86400 + 10)
    with pytest.raises(TokenExpired):
        await identity.sessions.refresh(pair.refresh_token)


async def test_a_reused_refresh_token_ends_the_whole_family(identity: IdentityParts, pair: TokenPair) -> None:
    other = await identity.sessions.login("ada_l", "correct horse")
    stolen = pair.refresh_token
    fresh = await identity.sessions.refresh(stolen)
    principal = await identity.sessions.authenticate(fresh.access_token)
    with pytest.raises(RefreshTokenReused) as caught:
        await identity.sessions.refresh(stolen)
    assert caught.value.code == "refresh_token_reused"

    assert identity.sessions.cached(fresh.access_token) is None
    for token in (pair.access_token, fresh.access_token):
        with pytest.raises(InvalidToken):
            await identity.sessions.authenticate(token)
    with pytest.raises(InvalidToken):
        await identity.sessions.refresh(fresh.refresh_token)
    (entry,) = await identity.audit.list(action="session.ended")
    assert (entry.actor, entry.subject) == (None, f"session:{principal.session_id}")
    assert dict(entry.details) == {"reason": "refresh_token_reused"}
    await identity.sessions.authenticate(other.access_token)


async def test_of_parallel_refreshes_at_most_one_is_answered_and_the_family_ends(
    identity: IdentityParts, pair: TokenPair
) -> None:
    outcomes = await asyncio.gather(
        *(identity.sessions.refresh(pair.refresh_token) for _ in range(8)), return_exceptions=True
    )
    winners = [outcome for outcome in outcomes if isinstance(outcome, TokenPair)]
    assert len(winners) == 1
    assert all(isinstance(outcome, InvalidToken) for outcome in outcomes if outcome is not winners[0])
    assert any(isinstance(outcome, RefreshTokenReused) for outcome in outcomes)
    with pytest.raises(InvalidToken):
        await identity.sessions.authenticate(winners[0].access_token)
    with pytest.raises(InvalidToken):
        await identity.sessions.refresh(winners[0].refresh_token)


async def test_refresh_tokens_are_not_stored(identity: IdentityParts, pair: TokenPair, database: Database) -> None:
    async with database.reading() as tx:
        (row,) = await tx.all(select(sessions))
    for token in (pair.access_token, pair.refresh_token):
        assert token not in str(row)
        assert token.rsplit(".", 1)[1] not in str(row)


async def test_logout_takes_effect_at_once(identity: IdentityParts, pair: TokenPair) -> None:
    principal = await identity.sessions.authenticate(pair.access_token)
    assert identity.sessions.cached(pair.access_token) == principal
    assert principal.session_id is not None
    await identity.sessions.logout(principal.session_id)
    assert identity.sessions.cached(pair.access_token) is None
    with pytest.raises(InvalidToken):
        await identity.sessions.authenticate(pair.access_token)
    with pytest.raises(InvalidToken):
        await identity.sessions.refresh(pair.refresh_token)
    await identity.sessions.logout(principal.session_id)
    (entry,) = await identity.audit.list(action="session.ended")
    assert dict(entry.details) == {"reason": "logout"}


async def test_logout_everywhere_but_here(identity: IdentityParts, pair: TokenPair) -> None:
    others = [await identity.sessions.login("ada_l", "correct horse") for _ in range(3)]
    here = await identity.sessions.authenticate(pair.access_token)
    for other in others:
        await identity.sessions.authenticate(other.access_token)
    assert await identity.sessions.logout_all(here.user_id, here.session_id) == 3
    for other in others:
        with pytest.raises(InvalidToken):
            await identity.sessions.authenticate(other.access_token)
    assert await identity.sessions.authenticate(pair.access_token) == here
    assert await identity.sessions.logout_all(here.user_id) == 1
    assert await identity.sessions.logout_all(here.user_id) == 0


async def test_another_process_honours_a_logout_after_the_life_of_its_cache(
    identity: IdentityParts,
    pair: TokenPair,
    database: Database,
    clock: ManualClock,
    ids: SystemIds,
    outbox: Outbox,
    tmp_path: Path,
) -> None:
    elsewhere = identity_parts(database, clock, ids, outbox, tmp_path / "mail", box=identity.box)
    principal = await elsewhere.sessions.authenticate(pair.access_token)
    assert principal.session_id is not None
    await identity.sessions.logout(principal.session_id)
    clock.advance(1)
    assert elsewhere.sessions.cached(pair.access_token) is None
    with pytest.raises(InvalidToken):
        await elsewhere.sessions.authenticate(pair.access_token)


async def test_a_login_that_races_a_change_of_password_leaves_no_session(identity: IdentityParts, ada: User) -> None:
    outcomes = await asyncio.gather(
        *(identity.sessions.login("ada_l", "correct horse") for _ in range(6)),
        identity.recovery.change_password(ada.id, "correct horse", "a new password"),
        return_exceptions=True,
    )
    for outcome in outcomes[:-1]:
        if isinstance(outcome, TokenPair):
            with pytest.raises(InvalidToken):
                await identity.sessions.authenticate(outcome.access_token)
        else:
            assert isinstance(outcome, InvalidCredentials)
