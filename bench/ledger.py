"""Durable charges/s of the ledger alone on SQLite and PostgreSQL, beside single commits and pgbench.

A charge is two commits, a hold and its settlement, both on disk. Callers share commits in groups, as in
the server; beside it the same charges with a transaction of their own for each half, and pgbench's simple
update (`-N`, one commit) on a PostgreSQL cluster with its durable defaults on the same disk. Every
measurement begins with an empty database and ends with the whole ledger recomputed.
"""

import argparse
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from servers.postgres import Postgres, postgres
from support.console import BenchError, say
from support.machine import describe, flushes_per_second
from support.report import Outcome, Table

PROGRAM = Path(__file__).with_name("charges_process.py")
CALLERS = (1, 16, 64, 256)
MODES = ("grouped", "alone")
PGBENCH_SCALE = 10

Speeds = dict[str, dict[str, float]]
"""Row -> callers -> a second."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this bench."""
    parser.add_argument("--seconds", type=float, default=6.0, help="length of one measurement")
    parser.add_argument("--only", choices=["pgbench"], help="measure pgbench alone; nothing is kept under results/")


def run(directory: Path, arguments: argparse.Namespace) -> Outcome:
    """Measure and compare."""
    machine = describe(directory) | {"sqlite": sqlite3.sqlite_version}
    speeds: Speeds = {}
    if not arguments.only:
        speeds |= _charge_everywhere("SQLite", arguments.seconds, lambda name: f"sqlite:///{directory / name}.db")
    with postgres(directory) as cluster:
        machine["postgresql"] = cluster.run("postgres", "--version").strip()
        if not arguments.only:
            speeds |= _charge_everywhere("PostgreSQL", arguments.seconds, lambda name: _new_database(cluster, name))
        speeds["pgbench -N"] = _pgbench(cluster, int(arguments.seconds))
    flushes = flushes_per_second(directory)
    return _outcome(speeds, flushes, machine, complete=not arguments.only)


def _charge_everywhere(kind: str, seconds: float, new_database: Callable[[str], str]) -> Speeds:
    speeds: Speeds = {}
    for mode in MODES:
        row = speeds.setdefault(f"{kind}, {mode}", {})
        for callers in CALLERS:
            url = new_database(f"{kind.lower()}_{mode}_{callers}")
            row[str(callers)] = _charges_per_second(url, callers, seconds, mode)
            say(f"{kind}, {mode}, {callers} callers: {row[str(callers)]:.0f} charges/s")
    return speeds


def _charges_per_second(url: str, callers: int, seconds: float, mode: str) -> float:
    command = [sys.executable, str(PROGRAM), url, str(callers), str(seconds), mode]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"Charging at {url} with {callers} callers failed:\n{done.stderr[-3000:]}")
    result = json.loads(done.stdout)
    return float(result["charges"] / result["seconds"])


def _new_database(cluster: Postgres, name: str) -> str:
    cluster.run("createdb", name)
    return cluster.url(name)


def _pgbench(cluster: Postgres, seconds: int) -> dict[str, float]:
    cluster.run("createdb", "pgbench")
    cluster.run("pgbench", "--initialize", "--quiet", f"--scale={PGBENCH_SCALE}", "pgbench")
    speeds = {}
    for clients in CALLERS:
        arguments = ["--skip-some-updates", "--no-vacuum", f"--client={clients}", "--jobs=1", f"--time={seconds}"]
        printed = cluster.run("pgbench", *arguments, "pgbench")
        found = re.search(r"^tps = ([\d.]+)", printed, re.MULTILINE)
        if found is None:
            raise BenchError(f"pgbench printed no speed:\n{printed}")
        speeds[str(clients)] = float(found[1])
        say(f"pgbench -N, {clients} clients: {speeds[str(clients)]:.0f} transactions/s")
    return speeds


def _outcome(speeds: Speeds, flushes: float, machine: Mapping[str, str], *, complete: bool) -> Outcome:
    rows = [[name, *(f"{row[str(callers)]:,.0f}" for callers in CALLERS)] for name, row in speeds.items()]
    return Outcome(
        name="ledger",
        title="Durable charges a second of the ledger alone",
        figures={
            "per_s": {name: {key: round(speed, 1) for key, speed in row.items()} for name, row in speeds.items()},
            "fdatasync_per_s": round(flushes, 1),
        },
        table=Table(["a second, by concurrent callers", *(str(callers) for callers in CALLERS)], rows),
        machine=machine,
        notes=[
            "A charge is a hold and a settlement with its usage record: two commits, both on disk.",
            "`grouped`: concurrent halves share a commit, as in the server. `alone`: a transaction for each half.",
            "pgbench's rows are transactions of one commit each, with fsync and synchronous_commit on.",
            f"The disk made {flushes:.0f} fdatasync/s (4 KiB appends) after the measurements.",
        ],
        complete=complete,
    )
