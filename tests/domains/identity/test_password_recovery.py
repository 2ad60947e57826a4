"""E-mail verification, forgotten, reset and changed passwords."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Table, select

from cloudyard.domains.identity import (
    InvalidCredentials,
    InvalidEmail,
    InvalidLink,
    InvalidToken,
    User,
    UserNotFound,
    WeakPassword,
    WrongPassword,
)
from cloudyard.domains.identity.models import mail_tokens
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable.outbox import outbox_events
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts

ADDRESS = "ada@example.com"


async def _rows(database: Database, table: Table) -> list[Any]:
    async with database.reading() as tx:
        return await tx.all(select(table))


async def _reset_token(identity: IdentityParts) -> str:
    await identity.recovery.forgot_password(ADDRESS)
    return await identity.mailed_token(ADDRESS, "reset-password")


async def test_the_mailed_link_verifies_the_address_once(identity: IdentityParts, ada: User) -> None:
    token = await identity.mailed_token(ADDRESS, "verify-email")
    verified = await identity.recovery.verify_email(token)
    assert (verified.id, verified.email_verified) == (ada.id, True)
    assert await identity.users.get(ada.id) == verified
    with pytest.raises(InvalidLink) as caught:
        await identity.recovery.verify_email(token)
    assert caught.value.field == "token"
    (entry,) = await identity.audit.list(action="email.verified")
    assert entry.actor == ada.id


async def test_another_verification_mail_is_sent_while_it_is_needed(identity: IdentityParts, ada: User) -> None:
    await identity.recovery.send_verification(ada.id)
    assert len(await identity.mails(ADDRESS)) == 2
    await identity.recovery.verify_email(await identity.mailed_token(ADDRESS, "verify-email"))
    await identity.recovery.send_verification(ada.id)
    assert len(await identity.mails(ADDRESS)) == 2
    with pytest.raises(UserNotFound):
        await identity.recovery.send_verification("unknown")


@pytest.mark.parametrize("token", ["garbage", "", "\x00", "\ud800", "x" * 10_000])
async def test_made_up_tokens_are_refused(identity: IdentityParts, ada: User, token: str) -> None:
    with pytest.raises(InvalidLink):
        await identity.recovery.verify_email(token)
    with pytest.raises(InvalidLink):
        await identity.recovery.reset_password(token, "a new password")


async def test_a_token_is_good_for_its_purpose_alone(identity: IdentityParts, ada: User) -> None:
    verification = await identity.mailed_token(ADDRESS, "verify-email")
    reset = await _reset_token(identity)
    with pytest.raises(InvalidLink):
        await identity.recovery.reset_password(verification, "a new password")
    with pytest.raises(InvalidLink):
        await identity.recovery.verify_email(reset)


async def test_links_expire(identity: IdentityParts, ada: User, clock: ManualClock) -> None:
    verification = await identity.mailed_token(ADDRESS, "verify-email")
    reset = await _reset_token(identity)
    clock.advance(3600)
    with pytest.raises(InvalidLink):
        await identity.recovery.reset_password(reset, "a new password")
    clock.advance(86400 - 3600)
    with pytest.raises(InvalidLink):
        await identity.recovery.verify_email(verification)


async def test_a_reset_sets_the_password_and_ends_every_session(identity: IdentityParts, ada: User) -> None:
    session = await identity.sessions.login("ada_l", "correct horse")
    _, key = await identity.api_keys.create(ada.id, name="key")
    await identity.sessions.authenticate(session.access_token)
    unused = await _reset_token(identity)
    token = await _reset_token(identity)
    user = await identity.recovery.reset_password(token, "a new password")
    assert user.email_verified

    assert identity.sessions.cached(session.access_token) is None
    with pytest.raises(InvalidToken):
        await identity.sessions.authenticate(session.access_token)
    with pytest.raises(InvalidToken):
        await identity.sessions.refresh(session.refresh_token)
    with pytest.raises(InvalidCredentials):
        await identity.sessions.login("ada_l", "correct horse")
    await identity.sessions.login("ada_l", "a new password")
    with pytest.raises(InvalidToken):  # nobody had proved the address before: the key may be another's
        await identity.sessions.authenticate(key)
    for spent in (token, unused):
        with pytest.raises(InvalidLink):
            await identity.recovery.reset_password(spent, "yet another password")
    assert (await identity.mails(ADDRESS))[-1]["Subject"] == "Your password was changed"
    (entry,) = await identity.audit.list(action="password.reset")
    assert dict(entry.details) == {"sessions_ended": 1}


async def test_a_weak_password_does_not_use_up_the_link(identity: IdentityParts, ada: User) -> None:
    token = await _reset_token(identity)
    for weak in ("short", ADDRESS):
        with pytest.raises(WeakPassword):
            await identity.recovery.reset_password(token, weak)
    await identity.recovery.reset_password(token, "a new password")


async def test_of_parallel_resets_with_one_link_one_succeeds(identity: IdentityParts, ada: User) -> None:
    token = await _reset_token(identity)
    outcomes = await asyncio.gather(
        *(identity.recovery.reset_password(token, f"new password {n}") for n in range(6)), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["InvalidLink"] * 5 + ["User"]


async def test_a_forgotten_password_of_nobody_leaves_the_same_traces_and_sends_nothing(
    identity: IdentityParts, ada: User, database: Database
) -> None:
    await identity.mails(ADDRESS)
    traces = []
    for address in (ADDRESS, "nobody@example.com"):
        before = [len(await _rows(database, table)) for table in (mail_tokens, outbox_events)]
        await identity.recovery.forgot_password(address)
        after = [len(await _rows(database, table)) for table in (mail_tokens, outbox_events)]
        entries = await identity.audit.list(action="password.reset_requested")
        traces.append(([later - earlier for earlier, later in zip(before, after, strict=True)], len(entries)))
    assert traces == [([1, 1], 1), ([1, 1], 2)]
    assert await identity.mails("nobody@example.com") == []
    assert all("nobody" not in str(row) for row in await _rows(database, outbox_events))
    with pytest.raises(InvalidEmail):
        await identity.recovery.forgot_password("not-an-email")


async def test_the_decoy_of_nobody_opens_nothing_when_somebody_registers_later(
    identity: IdentityParts, database: Database
) -> None:
    await identity.recovery.forgot_password("late@example.com")
    await identity.users.register(email="late@example.com", password="correct horse")
    subjects = [mail["Subject"] for mail in await identity.mails("late@example.com")]
    assert subjects == ["Verify your e-mail address"]


async def test_no_link_lies_in_the_clear_in_the_database(
    identity: IdentityParts, ada: User, database: Database
) -> None:
    token = await _reset_token(identity)
    stored = str(await _rows(database, mail_tokens)) + str(await _rows(database, outbox_events))
    assert token not in stored
    assert "reset-password" not in stored


async def test_a_changed_password_ends_the_other_sessions(identity: IdentityParts, ada: User) -> None:
    here = await identity.sessions.login("ada_l", "correct horse")
    there = await identity.sessions.login("ada_l", "correct horse")
    reset = await _reset_token(identity)
    kept = (await identity.sessions.authenticate(here.access_token)).session_id
    await identity.sessions.authenticate(there.access_token)
    await identity.recovery.change_password(ada.id, "correct horse", "a new password", keep_session=kept)

    assert (await identity.sessions.authenticate(here.access_token)).session_id == kept
    await identity.sessions.refresh(here.refresh_token)
    assert identity.sessions.cached(there.access_token) is None
    with pytest.raises(InvalidToken):
        await identity.sessions.authenticate(there.access_token)
    with pytest.raises(InvalidLink):
        await identity.recovery.reset_password(reset, "yet another password")
    await identity.sessions.login("ada_l", "a new password")
    (entry,) = await identity.audit.list(action="password.changed")
    assert (entry.actor, dict(entry.details)) == (ada.id, {"sessions_ended": 1})


@pytest.mark.parametrize(
    ("current", "new", "error", "field"),
    [
        ("wrong horse", "a new password", WrongPassword, "current_password"),
        ("", "a new password", WrongPassword, "current_password"),
        ("correct horse", "short", WeakPassword, "new_password"),
        ("correct horse", "correct horse", WeakPassword, "new_password"),
    ],
)
async def test_refused_changes_change_nothing(
    identity: IdentityParts, ada: User, current: str, new: str, error: type[WeakPassword], field: str
) -> None:
    session = await identity.sessions.login("ada_l", "correct horse")
    with pytest.raises(error) as caught:
        await identity.recovery.change_password(ada.id, current, new)
    assert caught.value.field == field
    await identity.sessions.authenticate(session.access_token)
    await identity.sessions.login("ada_l", "correct horse")


async def test_of_parallel_changes_one_succeeds(identity: IdentityParts, ada: User) -> None:
    outcomes = await asyncio.gather(
        *(identity.recovery.change_password(ada.id, "correct horse", f"new password {n}") for n in range(5)),
        return_exceptions=True,
    )
    assert outcomes.count(None) == 1
    assert all(isinstance(outcome, WrongPassword) for outcome in outcomes if outcome is not None)
    await identity.sessions.login("ada_l", f"new password {outcomes.index(None)}")
