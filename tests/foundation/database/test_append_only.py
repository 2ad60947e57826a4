"""What can only be added to, the database itself keeps from being changed."""

import pytest
from notes import records
from sqlalchemy import Table, insert, text
from sqlalchemy.exc import DBAPIError

from cloudyard.foundation.database import Database, metadata
from cloudyard.testing.tables import load_models

load_models()
PROTECTED = sorted(name for name, table in metadata.tables.items() if table.info.get("append_only"))


async def _run(database: Database, statement: str) -> None:
    async with database.transaction() as tx:
        await tx.execute(text(statement))


async def _two_records(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(insert(records), [{"id": 1, "text": "one"}, {"id": 2, "text": "two"}])


async def _records(database: Database) -> list[tuple[int, str]]:
    async with database.reading() as tx:
        return [(row.id, row.text) for row in await tx.all(records.select().order_by(records.c.id))]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET text = 'other' WHERE id = 1",
        "UPDATE records SET text = 'other'",
        "DELETE FROM records WHERE id = 1",
        "DELETE FROM records",
    ],
)
async def test_a_row_is_neither_changed_nor_deleted(bare: Database, statement: str) -> None:
    await _two_records(bare)
    with pytest.raises(DBAPIError, match="records is append-only"):
        await _run(bare, statement)
    assert await _records(bare) == [(1, "one"), (2, "two")]


async def test_the_table_is_not_emptied(bare: Database) -> None:
    if bare.dialect == "sqlite":
        pytest.skip("SQLite has no TRUNCATE; its DELETE without a condition is refused above")
    await _two_records(bare)
    with pytest.raises(DBAPIError, match="records is append-only"):
        await _run(bare, "TRUNCATE records")
    assert len(await _records(bare)) == 2


@pytest.mark.parametrize("values", ["(1, 'other')", "(9, 'one')"], ids=["same key", "same unique value"])
async def test_a_row_is_not_replaced(bare: Database, values: str) -> None:
    await _two_records(bare)
    statement = {
        "sqlite": f"INSERT OR REPLACE INTO records (id, text) VALUES {values}",
        "postgresql": f"INSERT INTO records (id, text) VALUES {values} "
        f"ON CONFLICT ({'id' if values.startswith('(1') else 'text'}) DO UPDATE SET text = 'other'",
    }
    with pytest.raises(DBAPIError, match="records is append-only"):
        await _run(bare, statement[bare.dialect])
    assert await _records(bare) == [(1, "one"), (2, "two")]


async def test_rows_are_added(bare: Database) -> None:
    await _two_records(bare)
    await _run(bare, "INSERT INTO records (id, text) VALUES (3, 'three')")
    assert len(await _records(bare)) == 3


def test_what_must_not_change_is_protected() -> None:
    assert {
        "ledger_transactions",
        "ledger_postings",
        "ledger_statement_lines",
        "price_versions",
        "usage_records",
        "audit_entries",
    } <= set(PROTECTED)


@pytest.mark.parametrize("name", PROTECTED)
async def test_every_protected_table_refuses(database: Database, name: str) -> None:
    """On PostgreSQL even where no row is concerned; SQLite looks row by row, so its triggers are looked up."""
    table: Table = metadata.tables[name]
    column = next(iter(table.columns)).name
    if database.dialect == "postgresql":
        for statement in (f"UPDATE {name} SET {column} = {column}", f"DELETE FROM {name}", f"TRUNCATE {name} CASCADE"):
            with pytest.raises(DBAPIError, match="append-only"):
                await _run(database, statement)
        return
    async with database.reading() as tx:
        triggers = await tx.all(text(f"SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{name}'"))
    written = " ".join(row.sql for row in triggers)
    assert f"BEFORE UPDATE ON {name}" in written
    assert f"BEFORE DELETE ON {name}" in written
