"""The audit log keeps what happened, with the act itself, and the database refuses to change it."""

import pytest
from sqlalchemy import delete, update
from sqlalchemy.exc import DBAPIError

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.audit.models import audit_entries
from cloudyard.foundation.database import Database
from cloudyard.testing.clock import ManualClock


@pytest.fixture
def audit(database: Database, clock: ManualClock) -> AuditLog:
    return AuditLog(database, clock)


async def test_entries_are_listed_newest_first_and_filtered(
    audit: AuditLog, database: Database, clock: ManualClock
) -> None:
    async with database.transaction() as tx:
        await audit.record(tx, "ada", "user.created", "user:ada", {"role": "user"})
        await audit.record(tx, "root", "user.updated", "user:ada")
        await audit.record(tx, None, "signing_key.created", "signing_key:1")
    newest, middle, oldest = await audit.list()
    assert [e.action for e in (newest, middle, oldest)] == ["signing_key.created", "user.updated", "user.created"]
    assert (oldest.at, oldest.actor, dict(oldest.details)) == (clock.now(), "ada", {"role": "user"})
    assert (newest.actor, dict(middle.details)) == (None, {})
    assert await audit.list(subject="user:ada") == [middle, oldest]
    assert await audit.list(actor="root") == [middle]
    assert await audit.list(action="user.created", subject="user:ada") == [oldest]
    assert await audit.list(before=middle.id) == [oldest]
    assert await audit.list(limit=1) == [newest]


async def test_an_act_that_is_rolled_back_leaves_no_entry(audit: AuditLog, database: Database) -> None:
    with pytest.raises(RuntimeError, match="failed afterwards"):
        async with database.transaction() as tx:
            await audit.record(tx, "ada", "user.created", "user:ada")
            raise RuntimeError("failed afterwards")
    assert await audit.list() == []


@pytest.mark.parametrize("change", [update(audit_entries).values(actor="nobody"), delete(audit_entries)])
async def test_the_database_refuses_to_change_the_past(audit: AuditLog, database: Database, change: object) -> None:
    async with database.transaction() as tx:
        await audit.record(tx, "ada", "user.created", "user:ada")
    with pytest.raises(DBAPIError, match="append-only"):
        async with database.transaction() as tx:
            await tx.execute(change)  # type: ignore[arg-type]
    (entry,) = await audit.list()
    assert entry.actor == "ada"
