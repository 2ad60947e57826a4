"""Prepared statements do what SQLAlchemy's own do, on both databases."""

from datetime import UTC, datetime

import pytest
from notes import notes, written
from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from cloudyard.domains.audit.models import audit_entries
from cloudyard.foundation.database import Database
from cloudyard.foundation.database.prepared import KeyedRead, PreparedInsert, PreparedUpdate
from cloudyard.foundation.durable.idempotency import idempotency_keys

ADD = PreparedInsert(notes, ("id", "text", "at"))
RENAME = PreparedUpdate(notes, ("text",))
READ = KeyedRead(select(notes.c.id, notes.c.text, notes.c.at).order_by(notes.c.id), notes.c.text)
NOW = datetime(2026, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_any_number_of_rows(bare: Database, count: int) -> None:
    await bare.run(lambda connection: ADD.run(connection, [(number, "some", NOW) for number in range(count)]))
    assert await written(bare) == list(range(count))


async def test_values_are_converted_as_their_columns_say(bare: Database) -> None:
    def work(connection: Connection) -> list[tuple[object, ...]]:
        ADD.run(connection, [(1, "one", NOW), (2, "two", None)])
        RENAME.run(connection, [("uno", 1), ("due", 2)])
        return list(READ.run(connection, ["uno", "due", "tre"]))

    assert await bare.run(work) == [(1, "uno", NOW), (2, "due", None)]
    async with bare.reading() as tx:
        assert await tx.scalar(select(notes.c.at).where(notes.c.id == 1)) == NOW


async def test_keys_may_be_any_text_and_any_number(bare: Database) -> None:
    strange = ["it's", 'say "so"', "{a,b}", "é\u2603", "", "null", "a\\b"]

    def work(connection: Connection) -> list[list[str]]:
        ADD.run(connection, [(number, words, None) for number, words in enumerate(strange)])
        return [[words for _, words, _ in READ.run(connection, keys)] for keys in (strange, [], ["it's"] * 500)]

    assert await bare.run(work) == [strange, [], ["it's"]]


async def test_json_and_bytes(database: Database) -> None:
    names = ("scope", "key", "fingerprint", "status", "headers", "body", "claimed_at", "expires_at")
    add = PreparedInsert(idempotency_keys, names)
    headers = {"content-type": "text/plain", "x": "é"}
    await database.run(lambda c: add.run(c, [("s", "k", "f", 200, headers, b"\x00\xff", NOW, NOW)]))
    async with database.reading() as tx:
        row = await tx.first(select(idempotency_keys))
    assert row is not None and (row.headers, row.body, row.expires_at) == (headers, b"\x00\xff", NOW)


async def test_rows_keep_their_order(database: Database) -> None:
    """Numbers that the database gives out follow the order of the rows."""
    add = PreparedInsert(audit_entries, ("at", "action", "subject", "details"))
    actions = [f"action {number}" for number in range(300)]
    await database.run(lambda c: add.run(c, [(NOW, action, "s", {"n": None}) for action in actions]))
    async with database.reading() as tx:
        rows = await tx.all(select(audit_entries).order_by(audit_entries.c.id))
    assert [row.action for row in rows] == actions
    assert {row.actor for row in rows} == {None} and rows[0].details == {"n": None}


async def test_a_text_that_is_too_long_is_refused_and_not_cut(bare: Database) -> None:
    if bare.dialect == "sqlite":
        pytest.skip("SQLite does not enforce the length of a text")
    with pytest.raises(DBAPIError, match="too long"):
        await bare.run(lambda connection: ADD.run(connection, [(1, "does not fit in twenty", NOW)]))
    assert await written(bare) == []


async def test_a_broken_constraint_is_raised_as_everywhere(bare: Database) -> None:
    for words in ("forbidden", None):
        with pytest.raises(IntegrityError):
            await bare.run(lambda connection, w=words: ADD.run(connection, [(1, w, NOW)]))
    async with bare.transaction() as tx:
        await tx.run_sync(lambda connection: ADD.run(connection, [(1, "fine", NOW)]))
    assert await written(bare) == [1]
