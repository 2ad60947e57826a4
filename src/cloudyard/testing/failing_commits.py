"""A database on which nothing can be committed for a while, as on a full disk."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, Engine, event

from cloudyard.foundation.database import unit_thread
from cloudyard.foundation.database.sqlite import run_statement


@contextmanager
def no_commits() -> Iterator[None]:
    """While the block runs, every commit of this process fails, whatever it had written before."""
    event.listen(Engine, "commit", _fail)
    try:
        with patch.object(unit_thread, "run_statement", _run_unless_commit):
            yield
    finally:
        event.remove(Engine, "commit", _fail)


def _fail(_connection: Connection) -> None:
    raise OSError("no space left on device")


def _run_unless_commit(connection: Connection, statement: str, parameters: Sequence[Any] = ()) -> Sequence[Any]:
    if statement == "COMMIT":
        _fail(connection)
    return run_statement(connection, statement, parameters)
