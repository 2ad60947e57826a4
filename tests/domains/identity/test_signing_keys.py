"""Signing keys rotate; what an old one signed holds until it expires."""

import asyncio
from pathlib import Path

import jwt
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import insert, select

from cloudyard.domains.identity import InvalidToken, User
from cloudyard.domains.identity.models import signing_keys
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.secret_box import SecretBox, SecretUnreadable
from cloudyard.foundation.settings.security import SecuritySettings
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts, identity_parts
from cloudyard.testing.sent_statements import sent_statements

DAY = 86400


def _kid(token: str) -> str:
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


async def _kids(database: Database) -> list[str]:
    async with database.reading() as tx:
        return [row.kid for row in await tx.all(select(signing_keys).order_by(signing_keys.c.created_at))]


async def test_a_new_key_takes_over_after_its_time_and_the_old_one_goes_on_verifying(
    identity: IdentityParts, ada: User, database: Database, clock: ManualClock
) -> None:
    await identity.keys.current()
    clock.advance(80 * DAY)
    first = await identity.sessions.start(ada.id)
    clock.advance(11 * DAY)
    during = await identity.sessions.start(ada.id)  # finds the key too old, and adds the next one
    clock.advance(120)
    later = await identity.sessions.start(ada.id)
    assert _kid(first.access_token) == _kid(during.access_token)
    assert _kid(later.access_token) != _kid(first.access_token)

    await identity.cleanup.run()
    assert await _kids(database) == [_kid(first.access_token), _kid(later.access_token)]
    clock.advance(18 * DAY)
    refreshed = await identity.sessions.refresh(first.refresh_token)
    assert _kid(refreshed.access_token) == _kid(later.access_token)
    await identity.sessions.authenticate(refreshed.access_token)


async def test_an_old_key_goes_when_all_that_it_signed_has_expired(
    identity: IdentityParts, ada: User, database: Database, clock: ManualClock
) -> None:
    first = await identity.sessions.start(ada.id)
    clock.advance(90 * DAY)
    last_of_the_old = await identity.sessions.start(ada.id)
    assert _kid(first.access_token) == _kid(last_of_the_old.access_token)
    clock.advance(30 * DAY)
    await identity.cleanup.run()
    assert len(await _kids(database)) == 2
    await identity.sessions.refresh(last_of_the_old.refresh_token)
    clock.advance(600)
    await identity.cleanup.run()
    assert _kid(first.access_token) not in await _kids(database)
    assert len(await _kids(database)) == 1


async def test_a_shorter_life_of_tokens_does_not_cut_off_what_was_promised_longer(
    identity: IdentityParts,
    ada: User,
    database: Database,
    clock: ManualClock,
    ids: SystemIds,
    outbox: Outbox,
    tmp_path: Path,
) -> None:
    await identity.keys.current()
    clock.advance(89 * DAY)
    promised = await identity.sessions.start(ada.id)
    hasty = SecuritySettings(refresh_token_seconds=DAY)
    restarted = identity_parts(database, clock, ids, outbox, tmp_path / "m", settings=hasty, box=identity.box)
    clock.advance(2 * DAY)
    await restarted.keys.current()
    clock.advance(20 * DAY)
    await restarted.cleanup.run()
    await restarted.sessions.refresh(promised.refresh_token)


async def test_secrets_are_stored_encrypted(identity: IdentityParts, database: Database) -> None:
    key = await identity.keys.current()
    async with database.reading() as tx:
        (row,) = await tx.all(select(signing_keys))
    assert key.secret not in str(row)
    assert identity.box.decrypt(row.sealed_secret) == key.secret
    assert len(key.secret) >= 43


async def test_without_the_encryption_key_the_failure_says_what_to_do(
    identity: IdentityParts, database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, tmp_path: Path
) -> None:
    await identity.keys.current()
    other_box = SecretBox([Fernet.generate_key().decode()])
    stranger = identity_parts(database, clock, ids, outbox, tmp_path / "mail", box=other_box)
    with pytest.raises(SecretUnreadable, match=r"security\.encryption_key"):
        await stranger.keys.current()


async def test_only_keys_that_cannot_be_read_are_discarded_and_every_session_ends(
    identity: IdentityParts, ada: User, database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox,
    tmp_path: Path,
) -> None:  # fmt: skip
    lost = (await identity.keys.current()).kid
    pair = await identity.sessions.start(ada.id)
    clock.advance(91 * DAY)
    box = SecretBox([Fernet.generate_key().decode()])
    async with database.transaction() as tx:
        assert await identity.keys.discard_unreadable(tx) == []
        kept = {"kid": ids.new(), "sealed_secret": box.encrypt("x" * 43), "created_at": clock.now()}
        await tx.execute(insert(signing_keys).values(**kept))
    later = identity_parts(database, clock, ids, outbox, tmp_path / "mail", box=box)
    assert await later.keys.unreadable() == [lost]
    async with database.transaction() as tx:
        assert await later.keys.discard_unreadable(tx) == [lost]
    assert await later.keys.unreadable() == []
    assert (await later.keys.current()).kid == kept["kid"]
    with pytest.raises(InvalidToken):
        await later.sessions.refresh(pair.refresh_token)
    (entry,) = await later.audit.list(action="signing_key.discarded")
    assert (entry.subject, entry.actor, entry.details) == (f"signing_key:{lost}", None, {"sessions_ended": 1})


async def test_processes_that_start_together_understand_each_other(
    identity: IdentityParts,
    ada: User,
    database: Database,
    clock: ManualClock,
    ids: SystemIds,
    outbox: Outbox,
    tmp_path: Path,
) -> None:
    processes = [identity_parts(database, clock, ids, outbox, tmp_path / "mail", box=identity.box) for _ in range(4)]
    pairs = await asyncio.gather(*(process.sessions.start(ada.id) for process in processes))
    clock.advance(2)
    for process in processes:
        for pair in pairs:
            assert (await process.sessions.authenticate(pair.access_token)).user_id == ada.id


async def test_a_process_learns_of_a_new_key_before_it_is_used(
    identity: IdentityParts,
    ada: User,
    database: Database,
    clock: ManualClock,
    ids: SystemIds,
    outbox: Outbox,
    tmp_path: Path,
) -> None:
    elsewhere = identity_parts(database, clock, ids, outbox, tmp_path / "mail", box=identity.box)
    await identity.keys.current()
    clock.advance(90 * DAY - 10)
    await elsewhere.keys.current()
    clock.advance(20)
    await identity.keys.current()  # adds the second key, of which `elsewhere` has not heard
    clock.advance(61)
    pair = await identity.sessions.start(ada.id)
    assert len(await _kids(database)) == 2
    assert _kid(pair.access_token) == (await _kids(database))[1]
    assert (await elsewhere.sessions.authenticate(pair.access_token)).user_id == ada.id


async def test_made_up_key_ids_do_not_become_database_load(
    identity: IdentityParts, database: Database, clock: ManualClock
) -> None:
    await identity.keys.current()
    clock.advance(1)
    with sent_statements(database) as statements:
        for n in range(50):
            token = jwt.encode({"sub": "x"}, "x" * 43, headers={"kid": f"made-up-{n}"})
            with pytest.raises(InvalidToken):
                await identity.sessions.authenticate(token)
    assert len([sql for sql, _ in statements if "signing_keys" in sql]) == 1
