"""Inserting rows that may be there already, alike on both databases."""

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_or_ignore(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that leaves a row alone which exists under the same key."""
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
