"""Fixtures that every test may use: both databases, a clock, ids, an outbox."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.postgres import PostgresMissing, postgres_server
from cloudyard.testing.tables import create_tables

CI = os.environ.get("CI") == "true"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    try:
        with postgres_server() as url:
            yield url
    except PostgresMissing as error:
        if CI:
            raise
        pytest.skip(f"PostgreSQL is not at hand: {error}")


@pytest.fixture
async def postgres_database_url(postgres_url: str) -> AsyncIterator[str]:
    """URL of an empty database of its own."""
    name = f"test_{uuid.uuid4().hex}"
    server = await asyncpg.connect(postgres_url)
    await server.execute(f'CREATE DATABASE "{name}"')
    try:
        yield postgres_url.rsplit("/", 1)[0] + f"/{name}"
    finally:
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without tables, on each engine in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("postgres_database_url")
    return url


@pytest.fixture
async def database(empty_database_url: str) -> AsyncIterator[Database]:
    """A database with every table, on each engine in turn."""
    database = Database(empty_database_url)
    await create_tables(database)
    yield database
    await database.close()


@pytest.fixture
async def sqlite_database(tmp_path: Path) -> AsyncIterator[Database]:
    """A database with every table, on SQLite only: for tests whose subject is not the database."""
    database = Database(f"sqlite:///{tmp_path / 'only.db'}")
    await create_tables(database)
    yield database
    await database.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ids() -> SystemIds:
    return SystemIds()


@pytest.fixture
def outbox(clock: ManualClock) -> Outbox:
    return Outbox(clock)


