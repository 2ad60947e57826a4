"""Schedules: jobs that run every so often, in one process at a time however many there are."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Column, Row, String, Table, Text, select

from cloudyard.foundation.clock import Clock, until_beat
from cloudyard.foundation.database import Database, DatabaseUnavailable, UtcDateTime, metadata
from cloudyard.foundation.database.upsert import insert_or_ignore
from cloudyard.foundation.durable.failures import described
from cloudyard.foundation.durable.leases import NOW, claim, give_back, lease_columns

log = structlog.get_logger(__name__)

TICK_SECONDS = 1.0

schedules = Table(
    "schedules",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("last_run_at", UtcDateTime),
    Column("last_error", Text),
    *lease_columns(),
)

DUE = select(schedules.c.name).where(schedules.c.due_at <= NOW)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job and its rhythm. `run` must bear being run again after a crash in its middle."""

    name: str
    every: timedelta
    run: Callable[[], Awaitable[object]]
    lease: timedelta = timedelta(minutes=5)


class Scheduler:
    """Runs the schedules whose time has come."""

    def __init__(self, database: Database, clock: Clock, jobs: Sequence[Schedule]) -> None:
        self._database = database
        self._clock = clock
        self._jobs = {job.name: job for job in jobs}

    async def run(self) -> None:
        """Run due jobs for ever, each beside the others: one that takes long holds up none."""
        await self.register()
        running: dict[str, asyncio.Task[bool]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                for name in await self._due():
                    if name not in running or running[name].done():
                        running[name] = tasks.create_task(self._attend(name), name=f"job {name}")
                await self._clock.sleep(until_beat(self._clock, TICK_SECONDS))

    async def register(self) -> None:
        """Write a row for every job that has none yet, due at once."""
        async with self._database.transaction() as tx:
            known = {row.name for row in await tx.all(select(schedules.c.name))}
            for name in self._jobs.keys() - known:
                await tx.execute(insert_or_ignore(tx.dialect, schedules).values(name=name, due_at=self._clock.now()))

    async def run_due(self) -> int:
        """Run what is due, and wait for its end; the number of jobs run."""
        return sum(await asyncio.gather(*(self._attend(name) for name in await self._due())))

    async def _due(self) -> list[str]:
        """The jobs whose time has come, in the order in which they were given."""
        at = {"now": self._clock.now()}
        due = await self._database.glance(lambda connection: set(connection.scalars(DUE, at)))
        return [name for name in self._jobs if name in due]

    async def _attend(self, name: str) -> bool:
        """Run a job unless another process runs it; whether it was run here."""
        job = self._jobs[name]
        try:
            row = await self._claim(job)
            if row is not None:
                await self._run(job, row)
        except DatabaseUnavailable as error:
            log.warning("scheduled job is tried again", job=name, error=str(error))
            return False
        return row is not None

    async def _claim(self, job: Schedule) -> Row[Any] | None:
        where = [schedules.c.name == job.name]
        async with self._database.transaction() as tx:
            rows = await claim(tx, schedules, now=self._clock.now(), lease=job.lease, limit=1, where=where)
        return rows[0] if rows else None

    async def _run(self, job: Schedule, row: Row[Any]) -> None:
        failure: str | None = None
        try:
            await job.run()
        except Exception as error:  # noqa: BLE001 - a failing job must not stop the others; it is logged and kept
            failure = described(error)
            log.error("scheduled job failed", job=job.name, error=failure)
        now = self._clock.now()
        async with self._database.transaction() as tx:
            await give_back(tx, schedules, row, due_at=now + job.every, last_run_at=now, last_error=failure, attempts=0)
