"""Which migrations there are, and which a database has: without Alembic, which takes a fifth of a second to import."""

import re
from pathlib import Path

from sqlalchemy import Connection, inspect, text

VERSIONS = Path(__file__).parent / "versions"
REVISION = re.compile(r'^revision = "([^"]+)"$', re.MULTILINE)


def newest_revision() -> str:
    """The last migration: files are numbered in their order."""
    newest = max(VERSIONS.glob("[0-9]*.py"), key=lambda file: file.name)
    found = REVISION.search(newest.read_text())
    if found is None:
        raise ValueError(f"{newest} names no revision.")
    return found[1]


def applied_revision(connection: Connection) -> str | None:
    """The last migration that a database has; None for a new one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found
