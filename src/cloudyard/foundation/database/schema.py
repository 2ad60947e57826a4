"""The table metadata that all domains register on, and the column types and rules they share."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import DDL, DateTime, Dialect, MetaData, Table, event
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC on both databases.

    SQLite has no type for it and keeps text, `2026-01-31 12:00:00.000000`, which sorts as the moments do.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], datetime | str | None]:
        """Refuse naive moments and normalise to UTC."""
        return _text_of if dialect.name == "sqlite" else _utc

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """Give back an aware moment."""
        return _moment_of if dialect.name == "sqlite" else _utc


def _utc(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("naive datetime refused: every moment is stored in UTC")
    return value.astimezone(UTC)


@lru_cache(maxsize=64)  # the rows of a transaction mostly share one moment
def _text_of(value: datetime | None) -> str | None:
    moment = _utc(value)
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds") if moment is not None else None


def _moment_of(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text is not None else None


def append_only_statements(table_name: str, dialect: str) -> list[str]:
    """SQL that makes the database itself refuse UPDATE and DELETE on a table (used by migrations)."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table_name}_no_{verb.lower()} BEFORE {verb} ON {table_name} "
            f"BEGIN SELECT RAISE(ABORT, '{table_name} is append-only'); END"
            for verb in ("UPDATE", "DELETE")
        ]
    return [
        f"CREATE FUNCTION {table_name}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table_name} is append-only'; END $$",
        f"CREATE TRIGGER {table_name}_append_only BEFORE UPDATE OR DELETE ON {table_name} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table_name}_append_only()",
        f"CREATE TRIGGER {table_name}_no_truncate BEFORE TRUNCATE ON {table_name} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table_name}_append_only()",
    ]


def append_only(table: Table) -> Table:
    """Mark a table append-only wherever it is created from the metadata."""
    for dialect in ("sqlite", "postgresql"):
        for statement in append_only_statements(table.name, dialect):
            ddl = DDL(statement).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
            event.listen(table, "after_create", ddl)
    table.info["append_only"] = True
    return table
