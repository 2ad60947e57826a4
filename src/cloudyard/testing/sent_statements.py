"""The SQL that a database is sent while a test looks on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

from cloudyard.foundation.database import Database

Sent = tuple[str, Any]
"""A statement and its parameters."""


@contextmanager
def sent_statements(database: Database) -> Iterator[list[Sent]]:
    """What is sent to this database meanwhile, by whichever of its engines; other databases of the process are none
    of this test's business."""
    seen: list[Sent] = []
    name = database._writing.url.database  # nothing but tests asks for it

    def note(connection: Connection, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if connection.engine.url.database == name:
            seen.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)
