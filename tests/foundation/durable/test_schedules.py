"""Jobs that run every so often, in one process at a time, whatever happens to one of them."""

import asyncio
import itertools
from datetime import timedelta

import pytest
from sqlalchemy import select

from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import BackgroundWork, Schedule, Scheduler, every
from cloudyard.foundation.durable.background import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
from cloudyard.foundation.durable.schedules import TICK_SECONDS, schedules
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.waiting import until

MINUTE = timedelta(minutes=1)


class Job:
    """Counts its runs; fails as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        self.runs = 0
        self.failures = failures

    async def run(self) -> None:
        self.runs += 1
        if self.runs <= self.failures:
            raise RuntimeError(f"run {self.runs} failed")


async def ticks(clock: ManualClock, count: int, seconds: float = TICK_SECONDS) -> None:
    for _ in range(count):
        await asyncio.sleep(0.02)
        clock.advance(seconds)
    await asyncio.sleep(0.05)


async def test_a_job_runs_at_once_and_then_in_its_rhythm(database: Database, clock: ManualClock) -> None:
    job = Job()
    scheduler = Scheduler(database, clock, [Schedule("job", MINUTE, job.run)])
    await scheduler.register()
    assert await scheduler.run_due() == 1
    assert await scheduler.run_due() == 0
    clock.advance(59)
    assert await scheduler.run_due() == 0
    clock.advance(1)
    assert await scheduler.run_due() == 1
    assert job.runs == 2


async def test_registering_again_changes_nothing(database: Database, clock: ManualClock) -> None:
    job = Job()
    for _ in range(3):
        scheduler = Scheduler(database, clock, [Schedule("job", MINUTE, job.run)])
        await scheduler.register()
        await scheduler.run_due()
    assert job.runs == 1


async def test_a_failing_job_stops_no_other_and_runs_again_next_time(database: Database, clock: ManualClock) -> None:
    failing, sound = Job(failures=1), Job()
    jobs = [Schedule("failing", MINUTE, failing.run), Schedule("sound", MINUTE, sound.run)]
    scheduler = Scheduler(database, clock, jobs)
    await scheduler.register()
    assert await scheduler.run_due() == 2
    async with database.reading() as tx:
        rows = {row.name: row for row in await tx.all(select(schedules))}
    assert rows["failing"].last_error == "RuntimeError: run 1 failed"
    assert (rows["sound"].last_error, rows["sound"].last_run_at) == (None, clock.now())
    clock.advance(60)
    assert await scheduler.run_due() == 2
    async with database.reading() as tx:
        assert await tx.scalar(select(schedules.c.last_error).where(schedules.c.name == "failing")) is None


async def test_two_processes_run_a_due_job_once(database: Database, database_url: str, clock: ManualClock) -> None:
    job = Job()
    other = Database(database_url)
    schedulers = [Scheduler(each, clock, [Schedule("job", MINUTE, job.run)]) for each in (database, other)]
    await asyncio.gather(*(scheduler.register() for scheduler in schedulers))
    for round_number in range(1, 5):
        assert sum(await asyncio.gather(*(scheduler.run_due() for scheduler in schedulers))) == 1
        assert job.runs == round_number
        clock.advance(60)
    await other.close()


async def test_a_job_whose_process_was_killed_runs_elsewhere_when_its_lease_ends(
    database: Database, clock: ManualClock
) -> None:
    begun = asyncio.Event()

    async def hangs() -> None:
        begun.set()
        await asyncio.Event().wait()

    killed = Scheduler(database, clock, [Schedule("job", MINUTE, hangs, lease=timedelta(seconds=30))])
    await killed.register()
    running = asyncio.create_task(killed.run_due())
    await begun.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    job = Job()
    other = Scheduler(database, clock, [Schedule("job", MINUTE, job.run, lease=timedelta(seconds=30))])
    assert await other.run_due() == 0
    clock.advance(31)
    assert await other.run_due() == 1
    assert job.runs == 1


async def test_the_scheduler_runs_for_ever(database: Database, clock: ManualClock) -> None:
    job = Job(failures=1)
    scheduler = Scheduler(database, clock, [Schedule("job", timedelta(seconds=2), job.run)])
    running = asyncio.create_task(scheduler.run())
    while job.runs < 4:
        await ticks(clock, 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_job_that_hangs_holds_up_no_other(database: Database, clock: ManualClock) -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    job = Job()
    jobs = [Schedule("hanging", MINUTE, hangs), Schedule("sound", timedelta(seconds=2), job.run)]
    running = asyncio.create_task(Scheduler(database, clock, jobs).run())
    while job.runs < 3:
        await ticks(clock, 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_loop_that_fails_is_restarted_after_a_growing_pause(clock: ManualClock) -> None:
    starts: list[float] = []

    async def fails() -> None:
        starts.append(clock.monotonic())
        raise RuntimeError("again")

    work = BackgroundWork(clock, {"fails": fails})
    work.start()
    while len(starts) < 9:
        await asyncio.sleep(0.002)
        clock.advance(FIRST_PAUSE_SECONDS)
    await work.stop()
    pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert pauses == sorted(pauses)
    assert pauses[:3] == [0.5, 1.0, 2.0]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


async def test_loops_run_beside_each_other_and_all_end_at_stop(clock: ManualClock) -> None:
    ended: list[str] = []
    begun: set[str] = set()

    async def loop(name: str) -> None:
        begun.add(name)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(name)

    async def returns() -> None:
        begun.add("returns")

    work = BackgroundWork(clock, {"one": lambda: loop("one"), "two": lambda: loop("two"), "three": returns})
    work.start()
    await until(lambda: len(begun) == 3)
    await work.stop()
    assert sorted(ended) == ["one", "two"]
    await work.stop()


async def test_a_loop_does_its_work_every_so_often(clock: ManualClock) -> None:
    job = Job()
    running = asyncio.create_task(every(clock, 5, job.run)())
    await ticks(clock, 1, 4)
    assert job.runs == 0
    await ticks(clock, 1, 1)
    assert job.runs == 1
    await ticks(clock, 3, 5)
    assert job.runs == 4
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
