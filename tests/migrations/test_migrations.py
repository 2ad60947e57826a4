"""The migration history, from nothing to now, on each database engine."""

from collections.abc import AsyncIterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from cloudyard.foundation.database import Database, metadata
from cloudyard.migrations.applying import migration_config
from cloudyard.migrations.errors import MigrationFailed
from cloudyard.migrations.revisions import newest_revision
from cloudyard.migrations.upgrade import upgrade
from cloudyard.testing.tables import load_models


@pytest.fixture
async def empty_database(empty_database_url: str) -> AsyncIterator[Database]:
    database = Database(empty_database_url)
    yield database
    await database.close()


def _differences(connection: Connection) -> list[object]:
    load_models()
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


def _tables(connection: Connection) -> set[str]:
    inspector = inspect(connection)
    assert not isinstance(inspector, Engine)
    return set(inspector.get_table_names())


async def test_the_history_makes_the_tables_that_the_code_has(empty_database: Database) -> None:
    assert await upgrade(empty_database)
    assert await empty_database.run(_differences) == []


async def test_the_newest_revision_is_the_one_that_alembic_takes_for_it(empty_database: Database) -> None:
    def head(connection: Connection) -> str | None:
        return ScriptDirectory.from_config(migration_config(connection)).get_current_head()

    assert await empty_database.run(head) == newest_revision()


async def test_an_up_to_date_database_is_left_alone(empty_database: Database) -> None:
    await upgrade(empty_database)
    assert not await upgrade(empty_database)


async def test_what_is_append_only_in_the_code_is_so_in_a_migrated_database(empty_database: Database) -> None:
    await upgrade(empty_database)
    load_models()
    protected = [table.name for table in metadata.sorted_tables if table.info.get("append_only")]
    assert {"ledger_transactions", "ledger_postings", "usage_records", "audit_entries"} <= set(protected)
    triggers = {
        "sqlite": "SELECT DISTINCT tbl_name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT DISTINCT event_object_table FROM information_schema.triggers",
    }
    async with empty_database.reading() as tx:
        guarded = {row[0] for row in await tx.all(text(triggers[empty_database.dialect]))}
    assert guarded >= set(protected)


async def test_a_failed_migration_says_so_and_changes_nothing(empty_database: Database) -> None:
    await empty_database.run(lambda connection: connection.execute(text("CREATE TABLE usage_records (id INTEGER)")))
    with pytest.raises(MigrationFailed, match="usage_records"):
        await upgrade(empty_database)
    assert await empty_database.run(_tables) == {"usage_records"}


async def test_a_database_of_a_newer_version_is_refused(empty_database: Database) -> None:
    await upgrade(empty_database)
    await empty_database.run(lambda connection: connection.execute(text("UPDATE alembic_version SET version_num='9'")))
    with pytest.raises(MigrationFailed, match="does not start"):
        await upgrade(empty_database)


async def test_the_migrated_ledger_refuses_a_change(empty_database: Database) -> None:
    await upgrade(empty_database)
    statements = (
        "INSERT INTO ledger_transactions (id, kind, idempotency_key, description, created_at) "
        "VALUES ('t', 'bonus', 'k', 'd', '2026-01-01 00:00:00')",
        "DELETE FROM ledger_transactions",
    )
    await empty_database.run(lambda connection: connection.execute(text(statements[0])))
    with pytest.raises(DBAPIError, match="append-only"):
        await empty_database.run(lambda connection: connection.execute(text(statements[1])))
