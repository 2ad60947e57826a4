"""Group commit: one transaction for many, each with its own outcome."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from notes import notes, tables, write, written
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError

from cloudyard.foundation.database import Database, DatabaseUnavailable, GroupCommit, UnderWay, at_once, unit_thread
from cloudyard.foundation.database.sqlite import run_statement
from cloudyard.foundation.database.unit_thread import BEGIN_WRITING
from cloudyard.foundation.errors import DomainError
from cloudyard.testing.failing_commits import no_commits


class Refused(DomainError):
    code = "refused"


@dataclass
class Notes:
    """Adds notes in groups; a note above a thousand is refused, and some texts are more than the database bears."""

    groups: list[list[int]] = field(default_factory=list)

    def __call__(self, connection: Connection, commands: Sequence[tuple[int, str]]) -> list[str | DomainError]:
        self.groups.append([note_id for note_id, _ in commands])
        taken = [(note_id, words) for note_id, words in commands if note_id <= 1000]
        if taken:
            connection.execute(insert(notes), [{"id": note_id, "text": words} for note_id, words in taken])
        return [f"note {i}" if i <= 1000 else Refused(f"{i} is too much") for i, _ in commands]


@pytest.fixture
def apply() -> Notes:
    return Notes()


@pytest.fixture
async def sqlite_bare(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'bare.db'}")
    await database.run(tables.create_all)
    yield database
    await database.close()


async def outcomes(commits: GroupCommit[tuple[int, str], str], *commands: tuple[int, str]) -> list[object]:
    return await asyncio.gather(*(commits.submit(command) for command in commands), return_exceptions=True)


async def test_a_lone_command_waits_for_nobody(bare: Database, apply: Notes) -> None:
    assert await GroupCommit(bare, at_once(apply)).submit((1, "one")) == "note 1"
    assert await written(bare) == [1]
    assert apply.groups == [[1]]


async def test_what_queues_meanwhile_is_the_next_group_in_order(bare: Database, apply: Notes) -> None:
    commits = GroupCommit(bare, at_once(apply))
    numbers = [7, 3, 9, 1, 8]
    answers = await outcomes(commits, *((number, "some") for number in numbers))
    assert answers == [f"note {number}" for number in numbers]
    assert [number for group in apply.groups for number in group] == numbers
    assert len(apply.groups) < len(numbers)


async def test_no_group_is_larger_than_the_largest(bare: Database, apply: Notes) -> None:
    commits = GroupCommit(bare, at_once(apply), largest=4)
    await outcomes(commits, *((number, "some") for number in range(18)))
    assert max(len(group) for group in apply.groups) == 4
    assert [number for group in apply.groups for number in group] == list(range(18))
    assert await written(bare) == list(range(18))


async def test_a_refused_member_fails_alone(bare: Database, apply: Notes) -> None:
    one, two, three = await outcomes(GroupCommit(bare, at_once(apply)), (1, "one"), (2000, "two"), (3, "three"))
    assert (one, three) == ("note 1", "note 3")
    assert isinstance(two, Refused)
    assert await written(bare) == [1, 3]
    assert apply.groups == [[1, 2000, 3]]


@pytest.mark.parametrize("words", ["forbidden", None], ids=["check", "not null"])
async def test_a_broken_constraint_fails_its_own_command_alone(bare: Database, apply: Notes, words: str) -> None:
    answers = await outcomes(GroupCommit(bare, at_once(apply)), *((n, words if n == 5 else "fine") for n in range(12)))
    assert isinstance(answers.pop(5), IntegrityError)
    assert answers == [f"note {number}" for number in range(12) if number != 5]
    assert await written(bare) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]


async def test_two_commands_that_exclude_each_other(bare: Database, apply: Notes) -> None:
    first, second, third = await outcomes(GroupCommit(bare, at_once(apply)), (1, "first"), (1, "second"), (2, "other"))
    assert (first, third) == ("note 1", "note 2")
    assert isinstance(second, IntegrityError)
    assert await written(bare) == [1, 2]


async def test_a_value_that_does_not_fit_fails_its_own_command_alone(bare: Database, apply: Notes) -> None:
    if bare.dialect == "sqlite":
        pytest.skip("SQLite does not enforce the length of a text")
    answers = await outcomes(
        GroupCommit(bare, at_once(apply)), (1, "fits"), (2, "does not fit in twenty"), (3, "nul\x00byte")
    )
    assert answers[0] == "note 1"
    assert [isinstance(answer, DBAPIError) for answer in answers] == [False, True, True]
    assert await written(bare) == [1]


async def test_an_error_in_the_applying_code_fails_the_command_at_fault_alone(bare: Database) -> None:
    def apply(connection: Connection, commands: Sequence[int]) -> list[int]:
        connection.execute(insert(notes), [{"id": number, "text": "some"} for number in commands])
        return [60 // number for number in commands]

    commits = GroupCommit[int, int](bare, at_once(apply))
    answers = await asyncio.gather(*(commits.submit(n) for n in (1, 2, 0, 3)), return_exceptions=True)
    assert isinstance(answers.pop(2), ZeroDivisionError)
    assert answers == [60, 30, 20]
    assert await written(bare) == [1, 2, 3]


async def test_a_cancelled_caller_goes_on_when_its_command_is_decided(bare: Database, apply: Notes) -> None:
    commits = GroupCommit(bare, at_once(apply))
    tasks = [asyncio.create_task(commits.submit((number, "some"))) for number in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[1], asyncio.CancelledError)
    assert (answers[0], answers[2]) == ("note 0", "note 2")
    assert await written(bare) == [0, 1, 2]


@pytest.mark.parametrize("turns", range(16))
async def test_a_caller_cancelled_at_any_turn_of_the_loop_goes_on(bare: Database, apply: Notes, turns: int) -> None:
    """Also in the very turn in which its command is decided."""
    loop = asyncio.get_running_loop()

    def after(left: int) -> None:
        if left:
            loop.call_soon(after, left - 1)
        else:
            tasks[0].cancel()

    def work(connection: Connection, commands: Sequence[tuple[int, str]]) -> list[str | DomainError]:
        outcome = apply(connection, commands)
        if commands[0][0] == 0:
            loop.call_soon_threadsafe(after, turns)
        return outcome

    commits = GroupCommit(bare, at_once(work), largest=1)
    tasks = [asyncio.create_task(commits.submit((number, "some"))) for number in range(4)]
    answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert answers[1:] == ["note 1", "note 2", "note 3"]
    assert answers[0] == "note 0" or isinstance(answers[0], asyncio.CancelledError)
    assert await written(bare) == [0, 1, 2, 3]


async def test_a_cancelled_caller_of_a_command_that_fails_hears_of_the_cancellation(
    bare: Database, apply: Notes
) -> None:
    commits = GroupCommit(bare, at_once(apply))
    task = asyncio.create_task(commits.submit((1, "forbidden")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await commits.submit((2, "fine")) == "note 2"


async def test_a_database_that_fails_fails_everyone_and_then_serves_again(bare: Database) -> None:
    failing = True
    attempts = 0

    def apply(connection: Connection, commands: Sequence[int]) -> list[int]:
        nonlocal attempts
        attempts += 1
        connection.execute(insert(notes), [{"id": number, "text": "some"} for number in commands])
        if failing:
            _end_this_connection(connection)
        return list(commands)

    commits = GroupCommit[int, int](bare, at_once(apply))
    answers = await asyncio.gather(*(commits.submit(n) for n in range(4)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [DatabaseUnavailable] * 4
    assert attempts == 1
    assert await written(bare) == []
    failing = False
    assert await commits.submit(9) == 9
    assert await written(bare) == [9]


@pytest.mark.parametrize("turns", [0, 1, 3])
async def test_whoever_waits_is_told_when_the_writing_task_is_cancelled(
    bare: Database, apply: Notes, turns: int
) -> None:
    """As at the end of the loop; also before that task took its first step."""
    commits = GroupCommit(bare, at_once(apply), largest=1)
    tasks = [asyncio.create_task(commits.submit((number, "some"))) for number in range(3)]
    await asyncio.sleep(0)
    (writer,) = [task for task in asyncio.all_tasks() if task.get_name() == "group-commit"]
    for _ in range(turns):
        await asyncio.sleep(0)
    writer.cancel()
    answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert isinstance(answers[2], asyncio.CancelledError)
    await commits.submit((9, "later"))
    assert 9 in await written(bare)


async def test_nobody_waits_for_ever_when_a_group_that_is_split_is_cancelled(bare: Database, apply: Notes) -> None:
    loop = asyncio.get_running_loop()

    def cancel_the_writer() -> None:
        (writer,) = [task for task in asyncio.all_tasks() if task.get_name() == "group-commit"]
        writer.cancel()

    def work(connection: Connection, commands: Sequence[tuple[int, str]]) -> list[str | DomainError]:
        if len(apply.groups) == 1:
            loop.call_soon_threadsafe(cancel_the_writer)
        return apply(connection, commands)

    commits = GroupCommit(bare, at_once(work))
    answers = await asyncio.wait_for(outcomes(commits, *((n, "forbidden" if n == 0 else "some") for n in range(8))), 10)
    assert apply.groups == [list(range(8)), list(range(4))]
    assert [type(answer) for answer in answers] == [asyncio.CancelledError] * 8
    assert await commits.submit((9, "later")) == "note 9"


async def test_units_of_work_and_groups_take_turns(bare: Database, apply: Notes) -> None:
    commits = GroupCommit(bare, at_once(apply))
    submitted = [commits.submit((number, "grouped")) for number in range(0, 40, 2)]
    await asyncio.gather(*submitted, *(write(bare, number) for number in range(1, 40, 2)))
    assert await written(bare) == list(range(40))


def _end_this_connection(connection: Connection) -> None:
    """What a server that goes down, or a disk that breaks, looks like from within a transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    else:
        connection.execute(text("PRAGMA max_page_count = 1"))
        connection.execute(text("INSERT INTO notes SELECT id + 10000, 'filler', at FROM notes"))
        connection.execute(text("CREATE TABLE larger AS SELECT randomblob(100000) AS data"))


async def test_who_begins_goes_on_before_the_commit_and_hears_whether_it_failed(bare: Database, apply: Notes) -> None:
    commits = GroupCommit(bare, at_once(apply))
    with no_commits():
        accepted = await commits.begin((1, "one"))
        with pytest.raises(DatabaseUnavailable, match="no space left"):
            await accepted.durable()
    assert await written(bare) == []
    again = await commits.begin((1, "one"))
    assert [await again.durable() for _ in range(2)] == ["note 1", "note 1"]
    assert await written(bare) == [1]


async def test_who_begins_and_never_asks_again_leaves_no_complaint(bare: Database, apply: Notes) -> None:
    commits = GroupCommit(bare, at_once(apply))
    with no_commits():
        await commits.begin((1, "one"))
        with pytest.raises(DatabaseUnavailable):
            await commits.submit((2, "two"))
    assert await commits.submit((2, "two")) == "note 2"
    assert await written(bare) == [2]


async def test_who_begins_is_refused_like_everyone(bare: Database, apply: Notes) -> None:
    commits = GroupCommit(bare, at_once(apply))
    answers = await asyncio.gather(
        commits.begin((1, "one")),
        commits.begin((1001, "much")),
        commits.begin((3, "forbidden")),
        return_exceptions=True,
    )
    assert isinstance(answers[0], UnderWay)
    assert [type(answer) for answer in answers[1:]] == [Refused, IntegrityError]
    assert await written(bare) == [1]


async def test_what_is_queued_later_sees_what_was_begun(bare: Database, apply: Notes) -> None:
    commits = GroupCommit(bare, at_once(apply))
    await commits.begin((1, "one"))
    with pytest.raises(IntegrityError):
        await commits.submit((1, "one again"))


@pytest.mark.parametrize("turns", range(1, 9))
async def test_who_begins_and_is_cancelled_goes_on_when_its_command_is_decided(
    bare: Database, apply: Notes, turns: int
) -> None:
    commits = GroupCommit(bare, at_once(apply))
    task = asyncio.create_task(commits.begin((1, "one")))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    answer = (await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 10))[0]
    if isinstance(answer, UnderWay):
        await answer.durable()
    else:
        assert isinstance(answer, asyncio.CancelledError)
    assert await written(bare) == [1]


async def test_a_caller_that_is_cancelled_at_every_turn_goes_on_when_its_command_is_decided(
    bare: Database, apply: Notes
) -> None:
    """As anyio cancels."""
    commits = GroupCommit(bare, at_once(apply))
    first = asyncio.create_task(commits.submit((0, "before")))
    task = asyncio.create_task(commits.submit((1, "one")))
    while not task.done():
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(first, task, return_exceptions=True)
    assert task.cancelled()
    assert await written(bare) == [0, 1]
    assert await commits.submit((2, "two")) == "note 2"


async def test_a_connection_that_cannot_even_begin_stops_nobody_else(
    sqlite_bare: Database, apply: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a damaged file."""

    def broken(connection: Connection, statement: str, parameters: Sequence[Any] = ()) -> Sequence[Any]:
        if statement == BEGIN_WRITING:
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise DatabaseError(statement, None, error)
        return run_statement(connection, statement, parameters)

    commits = GroupCommit(sqlite_bare, at_once(apply))
    await commits.submit((0, "before"))
    with monkeypatch.context() as patched:
        patched.setattr(unit_thread, "run_statement", broken)
        answers = await asyncio.wait_for(outcomes(commits, (1, "one"), (2, "two")), 10)
        assert [type(answer) for answer in answers] == [DatabaseUnavailable] * 2
    assert await commits.submit((3, "three")) == "note 3"
    assert await write(sqlite_bare, 4) is None


async def test_a_closed_database_takes_no_more_work(bare: Database, apply: Notes) -> None:
    commits = GroupCommit(bare, at_once(apply))
    await commits.submit((1, "one"))
    await bare.close()
    if bare.dialect == "sqlite":
        with pytest.raises(RuntimeError, match="closed"):
            await asyncio.wait_for(commits.submit((2, "two")), 10)
