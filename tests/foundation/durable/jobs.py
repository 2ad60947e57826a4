"""A table of work with leases."""

from datetime import datetime

from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select

from cloudyard.foundation.database import Database
from cloudyard.foundation.durable.leases import lease_columns

tables = MetaData()

jobs = Table(
    "jobs",
    tables,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(20), nullable=False),
    Column("result", String(20)),
    *lease_columns(),
)


async def add(database: Database, *rows: tuple[int, datetime], kind: str = "job") -> None:
    """Add jobs that come due at these moments."""
    async with database.transaction() as tx:
        await tx.execute(insert(jobs), [{"id": job_id, "kind": kind, "due_at": due} for job_id, due in rows])


async def results(database: Database) -> dict[int, str | None]:
    """What came of each job."""
    async with database.reading() as tx:
        return {row.id: row.result for row in await tx.all(select(jobs.c.id, jobs.c.result))}
