"""Webhook deliveries: how fast 1,000 events reach 10 endpoints, and what one that hangs costs the others.

The events are written to the outbox at once, each about another user; a real server takes them from there and posts
them to receivers on loopback. Measured from the commit of the events until the last delivery is in, first with ten
receivers that answer, then with one of them never answering. The delay of the others is that of their n-th delivery
in the second round against the first.
"""

import argparse
import asyncio
import itertools
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from cloudyard_events import write_events
from servers.cloudyard import BARE_TOML, WEBHOOKS_PATH, administered
from support.console import BenchError, say
from support.http import call
from support.machine import describe
from support.report import Outcome, Table

SETTINGS = BARE_TOML + "\n[limits]\nenabled = false\n\n[webhooks]\nallow_loopback = true\n"
EVENT = "user.updated"
LONGEST_SECONDS = 120.0
HANGING = 0


@dataclass(slots=True)
class Receivers:
    """Endpoints on one port, told apart by their paths; they note when a delivery came in."""

    count: int
    hangs: bool
    url: str = ""
    came: dict[int, list[float]] = field(default_factory=dict)

    async def take(self, request: web.Request) -> web.Response:
        """Note a delivery and answer it, or never."""
        number = int(request.match_info["number"])
        await request.read()
        if self.hangs and number == HANGING:
            await asyncio.Event().wait()
        self.came.setdefault(number, []).append(time.perf_counter())
        return web.Response(text="noted")

    @property
    def deliveries(self) -> int:
        """How many came in."""
        return sum(len(came) for came in self.came.values())


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds from the commit of the events to each delivery of each endpoint, in order."""

    seconds: Mapping[int, list[float]]

    @property
    def per_second(self) -> float:
        """Deliveries a second until the last was in."""
        return sum(len(each) for each in self.seconds.values()) / max(each[-1] for each in self.seconds.values())

    def delayed_against(self, other: "Round") -> float:
        """The most that a delivery came later than the same one of the other round, in seconds; not below 0."""
        pairs = ((self.seconds[number], other.seconds[number]) for number in self.seconds)
        return max(0.0, *(mine - theirs for pair in pairs for mine, theirs in zip(*pair, strict=True)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this bench."""
    parser.add_argument("--events", type=int, default=1000, help="events (1,000)")
    parser.add_argument("--endpoints", type=int, default=10, help="endpoints (10)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of both kinds (3)")


def run(directory: Path, arguments: argparse.Namespace) -> Outcome:
    """Measure both kinds of round in turn."""
    machine = describe(directory)
    rounds: dict[bool, list[Round]] = {False: [], True: []}
    for number, hangs in itertools.product(range(arguments.rounds), rounds):
        found = asyncio.run(_measure(directory / f"round-{number}-{hangs}", arguments, hangs=hangs))
        say(f"round {number + 1}, {'one hangs' if hangs else 'all answer'}: {found.per_second:.0f} deliveries/s")
        rounds[hangs].append(found)
    return _outcome(rounds[False], rounds[True], arguments, machine)


async def _measure(directory: Path, arguments: argparse.Namespace, *, hangs: bool) -> Round:
    wanted = arguments.events * (arguments.endpoints - hangs)
    async with _receiving(arguments.endpoints, hangs=hangs) as receivers:
        with administered(directory, SETTINGS) as (data, base_url, headers):
            for number in range(arguments.endpoints):
                body = {"url": f"{receivers.url}/{number}", "events": [EVENT]}
                await asyncio.to_thread(call, "POST", base_url + WEBHOOKS_PATH, body, headers)
            await write_events(f"sqlite:///{data / 'cloudyard.db'}", EVENT, arguments.events)
            begun = time.perf_counter()
            await _until_in(receivers, wanted, begun + LONGEST_SECONDS)
    if receivers.deliveries != wanted:
        raise BenchError(f"{receivers.deliveries:,} deliveries came in and not {wanted:,}: some came twice.")
    return Round({number: [at - begun for at in came] for number, came in receivers.came.items()})


async def _until_in(receivers: Receivers, wanted: int, deadline: float) -> None:
    while receivers.deliveries < wanted:
        if time.perf_counter() > deadline:
            raise BenchError(
                f"After {LONGEST_SECONDS:.0f} s only {receivers.deliveries:,} of {wanted:,} deliveries were in."
            )
        await asyncio.sleep(0.02)


@asynccontextmanager
async def _receiving(count: int, *, hangs: bool) -> AsyncIterator[Receivers]:
    receivers = Receivers(count, hangs)
    app = web.Application()
    app.router.add_post("/{number}", receivers.take)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receivers.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield receivers
    finally:
        await runner.cleanup()


def _outcome(
    answering: list[Round], hanging: list[Round], arguments: argparse.Namespace, machine: Mapping[str, str]
) -> Outcome:
    speeds = {
        "all answer": [each.per_second for each in answering],
        "one hangs": [each.per_second for each in hanging],
    }
    delays = [slow.delayed_against(fast) for fast, slow in zip(answering, hanging, strict=True)]
    medians = {name: statistics.median(each) for name, each in speeds.items()}
    rows = [[name, f"{medians[name]:,.0f}", f"{min(each):,.0f}"] for name, each in speeds.items()]
    return Outcome(
        name="webhooks",
        title=f"{arguments.events:,} events to {arguments.endpoints} endpoints",
        figures={
            "deliveries_per_s": {name: round(median, 1) for name, median in medians.items()},
            "greatest_delay_s": round(max(delays), 3),
        },
        table=Table(["endpoints", "deliveries/s, median", "slowest round"], rows),
        machine=machine,
        notes=[
            f"{arguments.rounds} rounds of each kind, each with a server and an SQLite database of its own.",
            f"The greatest delay of a delivery by the endpoint that hangs was {max(delays):.3f} s.",
            "The receivers are one process beside the server; their time is in the figures.",
        ],
        detail={"deliveries_per_s": speeds, "greatest_delay_s": delays},
    )
