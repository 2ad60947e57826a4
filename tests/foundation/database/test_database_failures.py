"""A database that cannot be used says so, changes nothing, and works again by itself."""

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest
from notes import notes, tables, write, written
from sqlalchemy import Connection, insert, text

from cloudyard.foundation.database import Database, DatabaseUnavailable, DatabaseUrlInvalid, GroupCommit, at_once
from cloudyard.foundation.errors import ErrorKind
from cloudyard.testing.waiting import until

Use = Callable[[Database], Awaitable[object]]


def _add_notes(connection: Connection, commands: Sequence[int]) -> Sequence[int]:
    connection.execute(insert(notes), [{"id": number, "text": "one"} for number in commands])
    return commands


USES: dict[str, Use] = {
    "transaction": lambda database: write(database, 1),
    "run": lambda database: database.run(lambda connection: connection.execute(insert(notes).values(id=1, text="one"))),
    "group": lambda database: GroupCommit(database, at_once(_add_notes)).submit(1),
    "reading": written,
    "ping": lambda database: database.ping(),
}
WRITES = {name: use for name, use in USES.items() if name in ("transaction", "run", "group")}

every_use = pytest.mark.parametrize("use", USES.values(), ids=USES)
every_write = pytest.mark.parametrize("use", WRITES.values(), ids=WRITES)

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("INSERT INTO notes (id, text) VALUES (77, 'theirs')")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
print("free", flush=True)
"""


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
async def postgres_database(postgres_database_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_database_url, pool_size=3)
    await database.run(tables.create_all)
    yield database
    await database.close()


async def refused(use: Use, database: Database) -> DatabaseUnavailable:
    with pytest.raises(DatabaseUnavailable) as caught:
        await use(database)
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    assert caught.value.retry_after
    assert "Nothing was changed" in caught.value.message
    return caught.value


@every_use
async def test_a_server_that_nobody_answers_for(closed_port: int, use: Use) -> None:
    database = Database(f"postgresql://nobody@127.0.0.1:{closed_port}/nothing")
    await refused(use, database)
    await database.close()


@every_use
async def test_a_database_that_does_not_exist(postgres_url: str, use: Use) -> None:
    database = Database(postgres_url.rsplit("/", 1)[0] + "/missing")
    error = await refused(use, database)
    assert "missing" in str(error) and "missing" not in error.message
    await database.close()


@every_use
async def test_a_user_that_the_server_does_not_know(postgres_url: str, use: Use) -> None:
    database = Database(postgres_url.replace("postgres@", "stranger@"))
    error = await refused(use, database)
    assert "stranger" in str(error) and "stranger" not in error.message
    await database.close()


@every_use
async def test_connections_that_the_server_closed_are_replaced(postgres_database: Database, use: Use) -> None:
    await asyncio.gather(*(postgres_database.ping() for _ in range(3)))
    await _close_others(postgres_database)
    await use(postgres_database)


async def test_a_connection_lost_in_the_middle_rolls_back(postgres_database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with postgres_database.transaction() as tx:
            await tx.execute(insert(notes).values(id=1, text="one"))
            await _close_others(postgres_database)
            await tx.execute(insert(notes).values(id=2, text="two"))
    await write(postgres_database, 3)
    assert await written(postgres_database) == [3]


async def test_a_connection_lost_before_the_commit_leaves_the_outcome_open(postgres_database: Database) -> None:
    with pytest.raises(DatabaseUnavailable, match="may have been made"):
        async with postgres_database.transaction() as tx:
            await tx.execute(insert(notes).values(id=1, text="one"))
            await _close_others(postgres_database)
    assert await written(postgres_database) == []


async def test_a_statement_that_takes_too_long_is_given_up(postgres_database: Database) -> None:
    with pytest.raises(DatabaseUnavailable, match="timeout"):
        async with postgres_database.transaction() as tx:
            await tx.execute(insert(notes).values(id=1, text="one"))
            await tx.execute(text("SET LOCAL statement_timeout = 50"))
            await tx.execute(text("SELECT pg_sleep(10)"))
    assert await written(postgres_database) == []


async def test_of_two_that_wait_for_each_other_one_is_run_again(postgres_database: Database) -> None:
    """A deadlock, made on purpose: each locks one row and then wants the other's."""
    await write(postgres_database, 1)
    await write(postgres_database, 2)
    one_has_begun, first_is_taken = asyncio.Event(), asyncio.Event()
    attempts: list[tuple[int, ...]] = []

    async def other() -> None:
        async with postgres_database.transaction() as tx:
            await tx.execute(text("SET LOCAL deadlock_timeout = '10s'"))
            await tx.execute(notes.update().where(notes.c.id == 2).values(text="other"))
            one_has_begun.set()
            await first_is_taken.wait()
            await tx.execute(notes.update().where(notes.c.id == 1).values(text="other"))

    def both(connection: object) -> None:
        # The second time it begins with what the other holds, so that it cannot take what the other is woken for.
        attempts.append((2, 1) if attempts else (1, 2))
        connection.execute(text("SET LOCAL deadlock_timeout = '500ms'"))  # type: ignore[attr-defined]
        for note_id in attempts[-1]:
            connection.execute(notes.update().where(notes.c.id == note_id).values(text="mine"))  # type: ignore[attr-defined]
            first_is_taken.set()

    waiting = asyncio.create_task(other())
    await one_has_begun.wait()
    await postgres_database.run(both)
    await waiting
    assert len(attempts) == 2


@every_use
async def test_a_folder_that_cannot_be_written(tmp_path: Path, use: Use) -> None:
    of_other_tests = _driver_threads()
    blocked = tmp_path / "file.db"
    blocked.mkdir()
    database = Database(f"sqlite:///{blocked}")
    await refused(use, database)
    await database.close()
    await until(lambda: _driver_threads() <= of_other_tests)


@every_use
async def test_a_file_that_is_no_database(tmp_path: Path, use: Use) -> None:
    file = tmp_path / "letter.db"
    file.write_bytes(b"Dear Sir or Madam, " * 100)
    database = Database(f"sqlite:///{file}")
    await refused(use, database)
    await database.close()


async def test_nobody_else_may_read_the_file(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'own' / 'file.db'}")
    await database.run(tables.create_all)
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "own").iterdir()}
    assert modes.keys() >= {"file.db", "file.db-wal"}
    assert set(modes.values()) == {0o600}
    await database.close()


@every_write
async def test_a_file_that_another_process_writes(tmp_path: Path, use: Use) -> None:
    file = tmp_path / "shared.db"
    database = Database(f"sqlite:///{file}", busy_timeout_ms=100)
    await database.run(tables.create_all)
    pipe = asyncio.subprocess.PIPE
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLDER, str(file), stdin=pipe, stdout=pipe)
    try:
        assert holder.stdout is not None and holder.stdin is not None
        assert await holder.stdout.readline() == b"locked\n"
        error = await refused(use, database)
        assert "locked" in error.message
        assert await written(database) == []
        holder.stdin.write(b"go\n")
        assert await holder.stdout.readline() == b"free\n"
        await use(database)
        assert await written(database) == [1, 77]
    finally:
        if holder.returncode is None:
            holder.kill()
        await holder.communicate()
        await database.close()


@every_write
async def test_a_full_disk(small_disk: Path, use: Use) -> None:
    database = Database(f"sqlite:///{small_disk / 'full.db'}")
    await database.run(tables.create_all)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while file.write(bytes(4096)) == 4096:
            pass
        raise OSError("No space left for a whole page")
    await _until_it_does_not_fit(database)
    before = await written(database)
    error = await refused(use, database)
    assert "full" in error.message or "disk" in error.message
    assert await written(database) == before
    ballast.unlink()
    await use(database)
    assert await written(database) == [1, *before]
    await database.close()


async def test_a_full_disk_of_postgresql(small_disk: Path, postgres_url: str) -> None:
    if os.environ.get("CLOUDYARD_TEST_POSTGRES_URL"):
        pytest.skip("the disk of a server elsewhere cannot be filled")
    space = f"small_{uuid.uuid4().hex}"
    server = await asyncpg.connect(postgres_url)
    await server.execute(f"CREATE TABLESPACE {space} LOCATION '{_owned_by_server(small_disk)}'")
    database = Database(postgres_url)
    try:
        async with database.transaction() as tx:
            await tx.execute(text(f"CREATE TABLE {space} (data text) TABLESPACE {space}"))
        with pytest.raises(DatabaseUnavailable, match="No space left"):
            async with database.transaction() as tx:
                await tx.execute(text(f"INSERT INTO {space} SELECT repeat('x', 2000) FROM generate_series(1, 5000)"))
        async with database.reading() as tx:
            assert await tx.scalar(text(f"SELECT count(*) FROM {space}")) == 0
    finally:
        await database.close()
        await server.execute(f"DROP TABLE IF EXISTS {space}")
        await server.execute(f"DROP TABLESPACE {space}")
        await server.close()


def test_a_database_in_memory_is_refused() -> None:
    for url in ("sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"):
        with pytest.raises(DatabaseUrlInvalid, match="needs a file"):
            Database(url)


def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(DatabaseUrlInvalid, match="mysql database cannot be used"):
        Database("mysql://root@127.0.0.1/x")


def test_a_url_that_is_none_is_refused_without_being_told() -> None:
    for url in ("secret", "postgresql://root:secret@127.0.0.1:secret/x"):
        with pytest.raises(DatabaseUrlInvalid, match=r"cannot be read\. Set database\.url") as caught:
            Database(url)
        assert "secret" not in caught.value.message


async def test_a_url_as_other_tools_write_it(postgres_database_url: str) -> None:
    url = postgres_database_url.replace("postgresql://", "postgres://") + "?sslmode=disable"
    database = Database(url)
    await database.ping()
    assert database.dialect == "postgresql"
    await database.close()


async def _close_others(database: Database) -> None:
    """Have the server end every connection to this database but the one that asks."""
    async with database.reading() as tx:
        await tx.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    await asyncio.sleep(0.05)


def _driver_threads() -> set[threading.Thread]:
    """The driver's thread of a connection that could not be opened ends a moment later, and wants the loop for it."""
    return {thread for thread in threading.enumerate() if "_connection_worker_thread" in thread.name}


async def _until_it_does_not_fit(database: Database) -> None:
    for note_id in range(1000, 2000):
        try:
            await write(database, note_id)
        except DatabaseUnavailable:
            return
    raise AssertionError("the disk was not full")


def _owned_by_server(folder: Path) -> Path:
    for parent in folder.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    subprocess.run(["chown", "nobody", folder], check=True)
    return folder


def test_the_file_is_written_ahead_and_flushed(tmp_path: Path) -> None:
    """What money relies on: every connection waits for the disk, and refuses orphans."""

    async def look() -> list[object]:
        database = Database(f"sqlite:///{tmp_path / 'set.db'}")
        async with database.transaction() as tx:
            found = [await tx.scalar(text(f"PRAGMA {name}")) for name in _PRAGMAS]
        found.extend(await database.run(lambda c: [c.execute(text(f"PRAGMA {n}")).scalar() for n in _PRAGMAS]))
        await database.close()
        return found

    assert asyncio.run(look()) == [*_PRAGMAS.values()] * 2
    with closing(sqlite3.connect(tmp_path / "set.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


_PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "recursive_triggers": 1}
