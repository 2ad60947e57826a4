"""Groups that nobody waits for, and what joins them before they are committed."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from threading import Thread
from time import monotonic

import pytest
from notes import notes, written
from sqlalchemy import Connection, insert
from sqlalchemy.exc import IntegrityError

from cloudyard.foundation.database import Database, DatabaseUnavailable, GroupCommit, UnderWay, at_once, group_commit
from cloudyard.foundation.database.joining import OpenGroup
from cloudyard.foundation.errors import DomainError
from cloudyard.testing.failing_commits import no_commits

LONG = 60.0


def add(connection: Connection, commands: Sequence[tuple[int, str]]) -> Sequence[str | DomainError]:
    connection.execute(insert(notes), [{"id": note_id, "text": words} for note_id, words in commands])
    return [f"note {note_id}" for note_id, _ in commands]


class Commits:
    """Adds notes, and knows the sizes of the groups."""

    def __init__(self, database: Database, *, largest: int = 512) -> None:
        self.sizes: list[int] = []
        self.group = GroupCommit(database, at_once(add), largest=largest, on_group=self.sizes.append)

    async def begin(self, note_id: int, words: str = "begun") -> UnderWay[str]:
        return await asyncio.wait_for(self.group.begin((note_id, words)), 10)

    async def submit(self, note_id: int, words: str = "submitted") -> str:
        return await asyncio.wait_for(self.group.submit((note_id, words)), 10)

    async def settled(self) -> list[int]:
        """Sizes, once the group under way is over."""
        if self.group._worker is not None:
            await asyncio.wait([self.group._worker], timeout=10)
        return self.sizes


@pytest.fixture
def open_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what joins ends the waiting."""
    monkeypatch.setattr(group_commit, "OPEN_SECONDS", LONG)


async def test_what_follows_shares_the_commit(bare: Database, open_for_long: None) -> None:
    commits = Commits(bare)
    accepted = await commits.begin(1)
    assert await commits.submit(2) == "note 2"
    await accepted.durable()
    assert await written(bare) == [1, 2]
    assert await commits.settled() == ([2] if bare.dialect == "sqlite" else [1, 1])


async def test_what_follows_nothing_is_written_by_itself(bare: Database) -> None:
    commits = Commits(bare)
    await commits.begin(1)
    assert await commits.settled() == [1]
    assert await written(bare) == [1]


async def test_who_asks_whether_it_is_durable_waits_for_nobody(bare: Database, open_for_long: None) -> None:
    commits = Commits(bare)
    both = [await commits.begin(1), await commits.begin(2)]
    await asyncio.wait_for(asyncio.gather(*(accepted.durable() for accepted in both)), 10)
    assert await written(bare) == [1, 2]


async def test_who_goes_ahead_waits_for_nothing_until_it_asks(bare: Database, open_for_long: None) -> None:
    commits = Commits(bare)
    ahead = commits.group.ahead((1, "ahead"))
    assert not ahead.was_refused
    assert await written(bare) == []
    await asyncio.wait_for(ahead.durable(), 10)
    assert await written(bare) == [1]
    assert not ahead.was_refused


async def test_who_goes_ahead_and_asks_at_once_waits_for_nobody(bare: Database, open_for_long: None) -> None:
    commits = Commits(bare)
    await asyncio.wait_for(commits.group.ahead((1, "ahead")).durable(), 10)
    assert await written(bare) == [1]


async def test_who_goes_ahead_shares_the_commit_of_what_follows(bare: Database, open_for_long: None) -> None:
    commits = Commits(bare)
    ahead = commits.group.ahead((1, "ahead"))
    assert await commits.submit(2) == "note 2"
    await ahead.durable()
    assert await written(bare) == [1, 2]
    assert await commits.settled() == ([2] if bare.dialect == "sqlite" else [1, 1])


async def test_who_goes_ahead_and_fails_hears_of_it(bare: Database) -> None:
    commits = Commits(bare)
    await commits.submit(1)
    ahead = commits.group.ahead((1, "again"))
    with pytest.raises(IntegrityError):
        await asyncio.wait_for(ahead.durable(), 10)
    assert ahead.was_refused
    assert await commits.submit(2) == "note 2"


async def test_who_joins_and_fails_fails_alone(bare: Database, open_for_long: None) -> None:
    commits = Commits(bare)
    accepted = await commits.begin(1)
    answers = await asyncio.gather(commits.submit(1), commits.submit(2), return_exceptions=True)
    assert [type(answers[0]), answers[1]] == [IntegrityError, "note 2"]
    await accepted.durable()
    assert await written(bare) == [1, 2]


async def test_a_commit_that_fails_fails_everyone_who_joined(bare: Database, open_for_long: None) -> None:
    commits = Commits(bare)
    with no_commits():
        accepted = await commits.begin(1)
        with pytest.raises(DatabaseUnavailable):
            await commits.submit(2)
        with pytest.raises(DatabaseUnavailable):
            await accepted.durable()
    assert await written(bare) == []
    assert await commits.submit(3) == "note 3"


async def test_no_more_join_than_there_is_room_for(bare: Database, open_for_long: None) -> None:
    commits = Commits(bare, largest=4)
    begun = await asyncio.gather(*(commits.begin(number) for number in range(3)))
    answers = await asyncio.gather(*(commits.submit(number) for number in range(3, 20)))
    await asyncio.gather(*(accepted.durable() for accepted in begun))
    assert answers == [f"note {number}" for number in range(3, 20)]
    assert await written(bare) == list(range(20))
    assert max(await commits.settled()) <= 4


async def test_units_of_work_come_after_the_group_that_is_open(bare: Database) -> None:
    commits = Commits(bare)
    await commits.begin(1)
    async with bare.transaction() as tx:
        await tx.execute(insert(notes).values(id=2, text="a unit"))
    assert await written(bare) == [1, 2]


async def test_every_command_of_a_crowd_is_written_once(bare: Database) -> None:
    commits = Commits(bare)
    chance = random.Random(7)

    async def call(number: int) -> None:
        await asyncio.sleep(chance.random() / 50)
        accepted = await commits.begin(2 * number)
        await asyncio.sleep(chance.random() / 500)
        if number % 3 == 0:
            await accepted.durable()
        assert await commits.submit(2 * number + 1) == f"note {2 * number + 1}"
        await accepted.durable()

    await asyncio.gather(*(call(number) for number in range(100)))
    assert await written(bare) == list(range(200))
    assert sum(await commits.settled()) == 200


def test_a_door_loses_nobody_between_two_threads() -> None:
    for _ in range(200):
        door: OpenGroup[int] = OpenGroup(1000)
        taken: list[int] = []

        def take(door: OpenGroup[int] = door, taken: list[int] = taken) -> None:
            for _ in range(5):
                taken.extend(door.more(monotonic() + 0.001))
            taken.extend(door.close())

        thread = Thread(target=take)
        thread.start()
        let_in = [number for number in range(300) if door.join(number)]
        thread.join()
        assert Counter(taken) == Counter(let_in)
        assert not door.join(1000)


def test_a_door_that_is_hurried_waits_for_nobody() -> None:
    door: OpenGroup[int] = OpenGroup(10)
    door.join(1)
    door.hurry()
    assert door.more(monotonic() + LONG) == [1]
    assert door.more(monotonic() + LONG) == []
    door.join(2)
    assert door.more(monotonic() + LONG) == [2]
    assert door.close() == []


def test_a_door_with_no_room_is_shut() -> None:
    door: OpenGroup[int] = OpenGroup(2)
    assert [door.join(number) for number in range(3)] == [True, True, False]
    assert door.close() == [0, 1]
