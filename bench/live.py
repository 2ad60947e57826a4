"""Open WebSockets in one process: how soon an event reaches all of them, and the memory that one takes.

One user opens 2,000 connections to the feed of live events and then changes its profile several times. Measured from
the moment at which the change was answered until the last connection has the event, and the server's memory (RSS, with
its children) before the first connection and with all of them.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from servers.cloudyard import BARE_TOML, LIVE_PATH, PROFILE_PATH, Cloudyard, cloudyard
from support.console import BenchError, say
from support.machine import describe
from support.processes import allow_open_files
from support.report import Outcome, Table

SETTINGS = BARE_TOML + "\n[limits]\nenabled = false\n"
OPENED_AT_ONCE = 50
LONGEST_WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds until the last connection had each event, and memory without and with the connections."""

    seconds: list[float]
    before_bytes: int
    after_bytes: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this bench."""
    parser.add_argument("--connections", type=int, default=2000, help="open WebSockets (2000)")
    parser.add_argument("--events", type=int, default=10, help="events that are timed (10)")


def run(directory: Path, arguments: argparse.Namespace) -> Outcome:
    """Measure."""
    allow_open_files(2 * arguments.connections + 500)
    machine = describe(directory)
    with cloudyard(directory, SETTINGS) as yard:
        measured = asyncio.run(_measure(yard, arguments.connections, arguments.events))
    return _outcome(measured, arguments, machine)


async def _measure(yard: Cloudyard, connections: int, events: int) -> Measured:
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"Authorization": f"Bearer {yard.token}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        before = yard.server.resident_bytes()
        sockets = await _open(session, yard.base_url + LIVE_PATH, connections)
        say(f"{len(sockets):,} connections are open")
        seconds = [await _time_event(session, yard.base_url + PROFILE_PATH, sockets, each) for each in range(events)]
        after = yard.server.resident_bytes()
        await asyncio.gather(*(socket.close() for socket in sockets))
    return Measured(seconds, before, after)


async def _open(session: aiohttp.ClientSession, url: str, count: int) -> list[aiohttp.ClientWebSocketResponse]:
    room = asyncio.Semaphore(OPENED_AT_ONCE)

    async def connected() -> aiohttp.ClientWebSocketResponse:
        async with room:
            socket = await session.ws_connect(url, heartbeat=None)
            await socket.receive_json(timeout=LONGEST_WAIT_SECONDS)
            return socket

    return list(await asyncio.gather(*(connected() for _ in range(count))))


async def _time_event(
    session: aiohttp.ClientSession, url: str, sockets: list[aiohttp.ClientWebSocketResponse], number: int
) -> float:
    name = f"Name {number}"
    hearing = [asyncio.create_task(socket.receive_json(timeout=LONGEST_WAIT_SECONDS)) for socket in sockets]
    await asyncio.sleep(0.2)
    async with session.put(url, json={"firstName": name}) as answer:
        if answer.status != 200:
            raise BenchError(f"The change was refused with {answer.status}: {await answer.text()}")
        changed = time.perf_counter()
    heard = await asyncio.gather(*hearing)
    seconds = time.perf_counter() - changed
    wrong = [event for event in heard if event["data"]["firstName"] != name]
    if wrong:
        raise BenchError(f"{len(wrong)} connections heard of something else, such as {wrong[0]}.")
    say(f"event {number + 1}: {seconds:.3f} s until all {len(heard):,} had it")
    return seconds


def _outcome(measured: Measured, arguments: argparse.Namespace, machine: Mapping[str, str]) -> Outcome:
    count = arguments.connections
    per_connection = (measured.after_bytes - measured.before_bytes) / count / 1024
    median, slowest = statistics.median(measured.seconds), max(measured.seconds)
    return Outcome(
        name="live",
        title="Live events over many WebSockets",
        figures={
            "seconds_to_all": {"median": round(median, 3), "slowest": round(slowest, 3)},
            "kib_per_connection": round(per_connection, 1),
        },
        table=Table(
            ["connections", "to all, median s", "to all, slowest s", "KiB a connection"],
            [[f"{count:,}", f"{median:.3f}", f"{slowest:.3f}", f"{per_connection:.1f}"]],
        ),
        machine=machine,
        notes=["The client is one process too, and reads every connection; its time is in the figures."],
        detail={"seconds": measured.seconds},
    )
