"""Fixtures that every test may use: both databases, a clock, ids, an outbox."""

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
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


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with every table, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    asyncio.run(_with_tables(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> str:
    """Name of a database with every table, to be copied."""
    name = f"template_{uuid.uuid4().hex}"
    asyncio.run(_execute(postgres_url, f'CREATE DATABASE "{name}"'))
    asyncio.run(_with_tables(_sibling(postgres_url, name)))
    return name


@pytest.fixture
async def postgres_database_url(postgres_url: str) -> AsyncIterator[str]:
    """URL of an empty database of its own."""
    async with _postgres_database(postgres_url, "template1") as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each database engine in turn."""
    name: str = request.param
    return name


@pytest.fixture
def empty_database_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database without tables, on each engine in turn."""
    if engine == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    url: str = request.getfixturevalue("postgres_database_url")
    return url


@pytest.fixture
async def postgres_copy_url(postgres_url: str, postgres_template: str) -> AsyncIterator[str]:
    """URL of a PostgreSQL database with every table."""
    async with _postgres_database(postgres_url, postgres_template) as url:
        yield url


@pytest.fixture
def database_url(engine: str, request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path) -> str:
    """URL of a database with every table, on each engine in turn."""
    if engine == "sqlite":
        return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'test.db')}"
    url: str = request.getfixturevalue("postgres_copy_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database with every table, on each engine in turn."""
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
async def sqlite_database(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """A database with every table, on SQLite only: for tests whose subject is not the database."""
    database = Database(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'only.db')}")
    yield database
    await database.close()


@pytest.fixture
async def unreachable_database() -> AsyncIterator[Database]:
    """A PostgreSQL server that is not there."""
    database = Database("postgresql://127.0.0.1:1/nowhere")
    yield database
    await database.close()


@asynccontextmanager
async def _postgres_database(server_url: str, template: str) -> AsyncIterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    await _execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
    try:
        yield _sibling(server_url, name)
    finally:
        await _execute(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _execute(server_url: str, statement: str) -> None:
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _with_tables(url: str) -> None:
    database = Database(url)
    await create_tables(database)
    await database.close()


def _sibling(server_url: str, name: str) -> str:
    return server_url.rsplit("/", 1)[0] + f"/{name}"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ids() -> SystemIds:
    return SystemIds()


@pytest.fixture
def outbox(clock: ManualClock) -> Outbox:
    return Outbox(clock)
