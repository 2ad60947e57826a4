"""The unit of work: all or nothing, one writer at a time, snapshots that wait for nobody."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from notes import notes, write, written
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from cloudyard.foundation.database import Database, DatabaseUnavailable, Transaction


async def test_what_a_block_wrote_is_there_when_it_ends(bare: Database) -> None:
    async with bare.transaction() as tx:
        await tx.execute(insert(notes), [{"id": 1, "text": "one"}, {"id": 2, "text": "two"}])
        assert await tx.scalar(select(func.count()).select_from(notes)) == 2
    assert await written(bare) == [1, 2]


async def test_reading_methods(bare: Database) -> None:
    await write(bare, 1, "one")
    await write(bare, 2, "two")
    async with bare.reading() as tx:
        assert tx.dialect == bare.dialect
        first = await tx.first(select(notes).order_by(notes.c.id))
        assert first is not None and first.text == "one"
        assert await tx.first(select(notes).where(notes.c.id == 9)) is None
        assert await tx.scalar(select(notes.c.text).where(notes.c.id == 9)) is None
        assert await tx.run_sync(lambda c: c.execute(select(notes.c.id).order_by(notes.c.id)).scalars().all()) == [1, 2]


async def test_a_block_that_raises_changes_nothing(bare: Database) -> None:
    with pytest.raises(RuntimeError, match="afterwards"):
        async with bare.transaction() as tx:
            await tx.execute(insert(notes).values(id=1, text="one"))
            raise RuntimeError("afterwards")
    assert await written(bare) == []
    await write(bare, 2)


async def test_work_that_raises_changes_nothing(bare: Database) -> None:
    def work(connection: Connection) -> None:
        connection.execute(insert(notes).values(id=1, text="one"))
        raise RuntimeError("afterwards")

    with pytest.raises(RuntimeError, match="afterwards"):
        await bare.run(work)
    assert await written(bare) == []
    await write(bare, 2)


async def test_work_returns_what_it_computed(bare: Database) -> None:
    def work(connection: Connection) -> int:
        connection.execute(insert(notes).values(id=1, text="one"))
        return connection.execute(select(func.count()).select_from(notes)).scalar_one()

    assert await bare.run(work) == 1
    assert await written(bare) == [1]


async def test_callbacks_run_after_the_commit_alone(bare: Database) -> None:
    heard: list[list[int]] = []
    async with bare.transaction() as tx:
        await tx.execute(insert(notes).values(id=1, text="one"))
        tx.after_commit(lambda: heard.append([1]))
        assert heard == []
    assert heard == [[1]]
    with pytest.raises(RuntimeError):
        async with bare.transaction() as tx:
            tx.after_commit(lambda: heard.append([2]))
            raise RuntimeError
    assert heard == [[1]]


async def test_a_caller_cancelled_in_the_middle_leaves_nothing_and_blocks_nobody(bare: Database) -> None:
    inside = asyncio.Event()

    async def half_a_change() -> None:
        async with bare.transaction() as tx:
            await tx.execute(insert(notes).values(id=1, text="one"))
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(half_a_change())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(write(bare, 2), 10)
    assert await written(bare) == [2]


@pytest.mark.parametrize("delay", [0, 0.0005, 0.002, 0.005, 0.02])
async def test_cancelling_at_any_moment_is_all_or_nothing(bare: Database, delay: float) -> None:
    heard: list[int] = []

    async def change(note_id: int) -> None:
        async with bare.transaction() as tx:
            await tx.execute(insert(notes).values(id=note_id, text="one"))
            await tx.execute(insert(notes).values(id=note_id + 100, text="two"))
            tx.after_commit(lambda: heard.append(note_id))

    tasks = [asyncio.create_task(change(number)) for number in range(8)]
    await asyncio.sleep(delay)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    there = await written(bare)
    assert [note_id for note_id in there if note_id >= 100] == [note_id + 100 for note_id in there if note_id < 100]
    assert sorted(heard) == [note_id for note_id in there if note_id < 100]
    await asyncio.wait_for(write(bare, 50), 10)


@pytest.mark.parametrize("delay", [0, 0.0005, 0.002, 0.005, 0.02])
async def test_cancelling_grouped_work_is_all_or_nothing(bare: Database, delay: float) -> None:
    def work(connection: Connection) -> None:
        connection.execute(insert(notes).values(id=1, text="one"))
        connection.execute(insert(notes).values(id=2, text="two"))

    task = asyncio.create_task(bare.run(work))
    await asyncio.sleep(delay)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await written(bare) in ([], [1, 2])
    await asyncio.wait_for(write(bare, 3), 10)


async def test_cancelling_a_caller_that_waits_for_its_turn(bare: Database) -> None:
    async with bare.transaction() as tx:
        await tx.execute(insert(notes).values(id=1, text="one"))
        waiting = [asyncio.create_task(write(bare, 2)), asyncio.create_task(bare.run(lambda _connection: None))]
        await asyncio.sleep(0.02)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    await write(bare, 3)
    assert set(await written(bare)) >= {1, 3}


async def test_many_writers_at_once_all_get_their_turn(bare: Database) -> None:
    def work(connection: Connection, note_id: int) -> None:
        connection.execute(insert(notes).values(id=note_id, text="grouped"))

    singles = [write(bare, number) for number in range(30)]
    grouped = [bare.run(lambda connection, n=number: work(connection, n)) for number in range(30, 60)]
    await asyncio.gather(*singles, *grouped)
    assert await written(bare) == list(range(60))


async def test_a_reader_waits_for_no_writer_and_sees_only_what_is_committed(bare: Database) -> None:
    await write(bare, 1)
    async with bare.transaction() as tx:
        await tx.execute(insert(notes).values(id=2, text="two"))
        assert await asyncio.wait_for(written(bare), 5) == [1]
    assert await written(bare) == [1, 2]


async def test_a_reader_keeps_its_snapshot(bare: Database) -> None:
    async def count(tx: Transaction) -> int:
        return int(await tx.scalar(select(func.count()).select_from(notes)))

    await write(bare, 1)
    async with bare.reading() as tx:
        assert await count(tx) == 1
        await write(bare, 2)
        assert await count(tx) == 1
    assert await written(bare) == [1, 2]


async def test_a_reader_cannot_write(bare: Database) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"read-?only"):
        async with bare.reading() as tx:
            await tx.execute(insert(notes).values(id=1, text="one"))
    await write(bare, 2)
    assert await written(bare) == [2]


async def test_a_broken_constraint_reaches_the_caller_as_such(bare: Database) -> None:
    with pytest.raises(IntegrityError):
        await write(bare, 1, "forbidden")
    await write(bare, 1)
    with pytest.raises(IntegrityError):
        await write(bare, 1)
    assert await written(bare) == [1]


async def test_a_mistake_in_a_statement_is_not_called_an_unavailable_database(bare: Database) -> None:
    with pytest.raises(DBAPIError):
        async with bare.reading() as tx:
            await tx.execute(text("SELECT missing FROM nowhere"))


async def test_an_operating_system_error_of_the_block_itself_passes_through(bare: Database) -> None:
    with pytest.raises(TimeoutError):
        async with bare.transaction() as tx:
            await tx.execute(insert(notes).values(id=1, text="one"))
            raise TimeoutError
    with pytest.raises(FileNotFoundError):
        async with bare.reading():
            raise FileNotFoundError
    assert await written(bare) == []


async def test_moments_come_back_aware_and_in_utc(bare: Database) -> None:
    there = datetime(2026, 3, 4, 5, 6, 7, 80009, tzinfo=timezone(timedelta(hours=2)))
    async with bare.transaction() as tx:
        await tx.execute(insert(notes), [{"id": 1, "text": "a", "at": there}, {"id": 2, "text": "b", "at": None}])
    async with bare.reading() as tx:
        first, second = await tx.all(select(notes.c.at).order_by(notes.c.id))
        found = await tx.scalar(select(notes.c.id).where(notes.c.at == there))
        earlier = await tx.scalar(select(notes.c.id).where(notes.c.at < there - timedelta(microseconds=1)))
    assert first.at == there and first.at.tzinfo is UTC
    assert second.at is None
    assert (found, earlier) == (1, None)


async def test_a_naive_moment_is_refused(bare: Database) -> None:
    with pytest.raises(StatementError, match="naive datetime refused"):
        async with bare.transaction() as tx:
            await tx.execute(insert(notes).values(id=1, text="a", at=datetime(2026, 1, 1)))  # noqa: DTZ001
