"""A table of our own on each database, apart from the project's."""

from collections.abc import AsyncIterator

import pytest
from notes import tables

from cloudyard.foundation.database import Database


@pytest.fixture
async def bare(empty_database_url: str) -> AsyncIterator[Database]:
    """A database with the table `notes` and the append-only table `records`."""
    database = Database(empty_database_url, busy_timeout_ms=60_000)
    await database.run(tables.create_all)
    yield database
    await database.close()
