"""Resident memory of an idle server, and of one that has answered 20,000 and 200,000 requests.

Idle: a server without models, some seconds after its start. Then a server in front of the nginx
upstream takes durably charged completions at 64 connections; after 20,000 and after 200,000 it is
left alone for some seconds and its memory (RSS, with all its child processes) is read.
"""

import argparse
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from servers.cloudyard import BARE_TOML, cloudyard, cloudyard_server, gateway_settings
from servers.upstream import REQUEST, upstream
from support.console import BenchError, say
from support.load import Target, drive
from support.machine import describe
from support.processes import Running
from support.report import Outcome, Table
from support.setup import ensure_commands

CROWD = 64
LONGEST_LOAD_SECONDS = 30
LONGEST_RUN_SECONDS = 1800
MARKS = (20_000, 200_000)


@dataclass(frozen=True, slots=True)
class Reading:
    """Memory after so many requests."""

    requests: int
    resident_bytes: int

    @property
    def mebibytes(self) -> float:
        """The memory in MiB."""
        return self.resident_bytes / 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this bench."""
    parser.add_argument("--rest", type=float, default=5.0, help="seconds of quiet before each reading")


def run(directory: Path, arguments: argparse.Namespace) -> Outcome:
    """Measure."""
    ensure_commands({"wrk": "wrk", "/usr/sbin/nginx": "nginx"})
    machine = describe(directory)
    bare = directory / "bare"
    bare.mkdir()
    with cloudyard_server(bare, BARE_TOML) as (server, _, _):
        idle = _read(server, 0, arguments.rest)
    with upstream(directory) as provider, cloudyard(directory, gateway_settings(provider)) as yard:
        readings = [_read(yard.server, 0, arguments.rest)]
        for mark in MARKS:
            requests = _load_until(yard.target, readings[-1].requests, mark)
            readings.append(_read(yard.server, requests, arguments.rest))
        yard.verify_ledger()
    return _outcome(idle, readings, machine)


def _load_until(target: Target, done: int, mark: int) -> int:
    """Send requests until at least `mark` are done; returns how many are. The last load is sized to end there."""
    begun, speed = time.monotonic(), 0.0
    while done < mark:
        if time.monotonic() - begun > LONGEST_RUN_SECONDS:
            raise BenchError(f"Only {done} of {mark} requests were answered in {LONGEST_RUN_SECONDS} s.")
        seconds = min(LONGEST_LOAD_SECONDS, math.ceil((mark - done) / speed)) if speed else 2
        load = drive(target, REQUEST, connections=CROWD, seconds=seconds)
        done, speed = done + load.requests, load.per_second
        say(f"{done:,} of {mark:,} requests, {speed:.0f} requests/s")
    return done


def _read(server: Running, requests: int, rest: float) -> Reading:
    time.sleep(rest)
    reading = Reading(requests, server.resident_bytes())
    say(f"after {requests:,} requests: {reading.mebibytes:.1f} MiB")
    return reading


def _outcome(idle: Reading, readings: list[Reading], machine: Mapping[str, str]) -> Outcome:
    fresh, early, late = readings
    growth = late.resident_bytes / early.resident_bytes
    rows = [
        ["idle, no models", "0", f"{idle.mebibytes:.1f}"],
        ["with one upstream, before any request", "0", f"{fresh.mebibytes:.1f}"],
        *(
            [f"after about {mark:,}", f"{each.requests:,}", f"{each.mebibytes:.1f}"]
            for mark, each in zip(MARKS, (early, late), strict=True)
        ),
    ]
    return Outcome(
        name="memory",
        title="Memory of the server",
        figures={
            "rss_mib": {
                "idle": round(idle.mebibytes, 2),
                "after_20000": round(early.mebibytes, 2),
                "after_200000": round(late.mebibytes, 2),
            },
            "ratio": round(growth, 4),
        },
        table=Table(["", "requests", "RSS, MiB"], rows),
        machine=machine,
        notes=[f"After the second mark the server needs {growth:.1%} of what it needed after the first."],
        detail={"requests": [each.requests for each in readings]},
    )
