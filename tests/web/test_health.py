import asyncio

import pytest
from structlog.testing import capture_logs

from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database, DatabaseUnavailable
from cloudyard.testing.clock import ManualClock
from cloudyard.web.health import Degraded, Dependency, Readiness, State, overall


async def well() -> None:
    return


async def hangs() -> None:
    await asyncio.sleep(3600)


async def refuses() -> None:
    raise DatabaseUnavailable("The disk is full.")


async def keeps_back() -> None:
    raise DatabaseUnavailable("It is away.", for_operators="at 10.0.0.7")


async def limps() -> None:
    raise Degraded("One of two is away.")


async def breaks() -> None:
    raise ConnectionResetError("gone")


async def test_every_dependency_is_asked_and_one_that_hangs_does_not_hold_up_the_others() -> None:
    readiness = Readiness(
        SystemClock(),
        lambda: {
            "database": Dependency(well, "sqlite"),
            "redis": Dependency(hangs, "valkey"),
            "storage": Dependency(refuses, "local"),
            "queue": Dependency(breaks, "broker"),
        },
        timeout_seconds=0.05,
    )
    findings = {finding.name: finding for finding in await readiness.ask()}
    assert findings["database"].ok
    assert findings["database"].backend == "sqlite"
    assert findings["redis"].problem == "no answer within 0.05 seconds"
    assert findings["storage"].problem == "The disk is full."
    assert findings["queue"].problem == "ConnectionResetError: gone"
    assert {name: finding.state for name, finding in findings.items() if not finding.ok} == dict.fromkeys(
        ("redis", "storage", "queue"), State.UNAVAILABLE
    )


@pytest.mark.parametrize(
    ("dependency", "state"),
    [
        (Dependency(well, "x"), State.WELL),
        (Dependency(limps, "x"), State.DEGRADED),
        (Dependency(breaks, "x", essential=False), State.DEGRADED),
        (Dependency(hangs, "x", essential=False), State.DEGRADED),
        (Dependency(breaks, "x"), State.UNAVAILABLE),
    ],
)
async def test_the_whole_is_as_well_as_its_worst_part(dependency: Dependency, state: State) -> None:
    parts = {"good": Dependency(well, "x"), "other": dependency}
    findings = await Readiness(SystemClock(), lambda: parts, timeout_seconds=0.05).ask()
    assert [finding.state for finding in findings] == [State.WELL, state]
    assert overall(findings) is state


async def test_what_is_wrong_in_detail_is_not_for_everyone() -> None:
    parts = {"storage": Dependency(refuses, "local"), "model": Dependency(limps, "upstream")}
    storage, model = await Readiness(SystemClock(), lambda: parts, kept_seconds=0).ask()
    assert (storage.shown(details=False), model.shown(details=False)) == ("unavailable", "degraded")
    assert (storage.shown(details=True), model.shown(details=True)) == ("The disk is full.", "One of two is away.")


async def test_administrators_hear_what_callers_do_not() -> None:
    readiness = Readiness(SystemClock(), lambda: {"database": Dependency(keeps_back, "postgresql")})
    (finding,) = await readiness.ask()
    assert finding.shown(details=True) == "It is away. (at 10.0.0.7)"
    assert finding.shown(details=False) == "unavailable"


async def test_what_is_needed_may_change_from_round_to_round() -> None:
    parts = {"one": Dependency(well, "x")}
    readiness = Readiness(SystemClock(), lambda: parts, kept_seconds=0)
    assert [finding.name for finding in await readiness.ask()] == ["one"]
    parts["two"] = Dependency(breaks, "x")
    assert [(finding.name, finding.ok) for finding in await readiness.ask()] == [("one", True), ("two", False)]


async def test_the_log_tells_of_changes_once_and_in_detail() -> None:
    parts = {"storage": Dependency(refuses, "local")}
    readiness = Readiness(SystemClock(), lambda: parts, kept_seconds=0)
    with capture_logs() as logged:
        await readiness.ask()
        await readiness.ask()
        parts["storage"] = Dependency(well, "local")
        await readiness.ask()
        await readiness.ask()
    assert [(line["event"], line["dependency"], line.get("problem")) for line in logged] == [
        ("dependency is not well", "storage", "The disk is full."),
        ("dependency is well again", "storage", None),
    ]


async def test_a_real_database_is_really_asked(sqlite_database: Database) -> None:
    readiness = Readiness(SystemClock(), lambda: {"database": Dependency(sqlite_database.ping, "sqlite")})
    assert [finding.ok for finding in await readiness.ask()] == [True]


@pytest.mark.parametrize("askers", [1, 20])
async def test_parallel_askers_share_one_round(askers: int) -> None:
    asked = 0

    async def count() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)

    readiness = Readiness(SystemClock(), lambda: {"x": Dependency(count, "x")}, kept_seconds=0)
    await asyncio.gather(*(readiness.ask() for _ in range(askers)))
    assert asked == 1
    await readiness.ask()
    assert asked == 2


async def test_an_asker_that_leaves_does_not_take_the_answer_from_the_others() -> None:
    go_on = asyncio.Event()
    readiness = Readiness(SystemClock(), lambda: {"x": Dependency(go_on.wait, "x")})
    leaving, staying = asyncio.create_task(readiness.ask()), asyncio.create_task(readiness.ask())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    go_on.set()
    assert [finding.ok for finding in await staying] == [True]


async def test_who_asks_again_within_a_second_is_told_the_same(clock: ManualClock) -> None:
    asked = 0

    async def count() -> None:
        nonlocal asked
        asked += 1

    readiness = Readiness(clock, lambda: {"x": Dependency(count, "x")})
    for seconds, rounds in ((0.0, 1), (0.9, 1), (0.2, 2), (0.5, 2), (1.0, 3)):
        clock.advance(seconds)
        await readiness.ask()
        assert asked == rounds
