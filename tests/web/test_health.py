import asyncio

import pytest

from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database, DatabaseUnavailable
from cloudyard.web.health import Dependency, Readiness


async def well() -> None:
    return


async def hangs() -> None:
    await asyncio.sleep(3600)


async def refuses() -> None:
    raise DatabaseUnavailable("The disk is full.")


async def breaks() -> None:
    raise ConnectionResetError("gone")


async def test_every_dependency_is_asked_and_one_that_hangs_does_not_hold_up_the_others() -> None:
    readiness = Readiness(
        SystemClock(),
        {
            "database": Dependency(well, "sqlite"),
            "redis": Dependency(hangs, "valkey"),
            "storage": Dependency(refuses, "local"),
            "mail": Dependency(breaks, "smtp"),
        },
        timeout_seconds=0.05,
    )
    findings = {finding.name: finding for finding in await readiness.ask()}
    assert findings["database"].ok
    assert findings["database"].backend == "sqlite"
    assert findings["redis"].problem == "no answer within 0.05 seconds"
    assert findings["storage"].problem == "The disk is full."
    assert findings["mail"].problem == "ConnectionResetError: gone"


async def test_a_real_database_is_really_asked(sqlite_database: Database) -> None:
    readiness = Readiness(SystemClock(), {"database": Dependency(sqlite_database.ping, "sqlite")})
    assert [finding.ok for finding in await readiness.ask()] == [True]


@pytest.mark.parametrize("askers", [1, 20])
async def test_parallel_askers_share_one_round(askers: int) -> None:
    asked = 0

    async def count() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)

    readiness = Readiness(SystemClock(), {"x": Dependency(count, "x")})
    await asyncio.gather(*(readiness.ask() for _ in range(askers)))
    assert asked == 1
    await readiness.ask()
    assert asked == 2


async def test_an_asker_that_leaves_does_not_take_the_answer_from_the_others() -> None:
    go_on = asyncio.Event()
    readiness = Readiness(SystemClock(), {"x": Dependency(go_on.wait, "x")})
    leaving, staying = asyncio.create_task(readiness.ask()), asyncio.create_task(readiness.ask())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    go_on.set()
    assert [finding.ok for finding in await staying] == [True]
