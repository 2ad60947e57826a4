"""Pages of a history of 1,000,000 lines, through the public API, on SQLite and PostgreSQL.

One wallet among others gets a year of calls, purchases, refunds, gifts and adjustments. Then pages are asked for one
after the other over one connection: from both ends and the middle, any page at random, of each type, of a period, of a
type within a period, oldest first. Every answer is checked: the length, the order, the type and dates of its lines and,
where all lines are asked for, that each balance follows from the line before. The ledger must verify at the end.
"""

import argparse
import asyncio
import http.client
import itertools
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from cloudyard_history import BEGUN, LASTED, Historian
from servers.cloudyard import BARE_TOML, HISTORY_PATH, PROFILE_PATH, TRANSACTIONS_PATH, Cloudyard, cloudyard
from servers.postgres import postgres
from support.console import BenchError, say
from support.http import call
from support.machine import describe
from support.report import Outcome, Table

from cloudyard.foundation.database import Database

SETTINGS = BARE_TOML + '\n[limits]\nenabled = false\n\n[database]\nurl = "{url}"\n'
TYPES = ("usage", "purchase", "refund", "bonus", "adjustment")
LIMITS = (20, 100)
SEED = 20

Ask = Callable[[random.Random, int], dict[str, str]]
"""The query of a page at random, given how many lines there are."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of page."""

    name: str
    ask: Ask
    path: str = HISTORY_PATH


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this bench."""
    parser.add_argument("--lines", type=int, default=1_000_000, help="lines of the long history (1,000,000)")
    parser.add_argument("--others", type=int, default=100, help="other wallets, of 1,000 lines each (100)")
    parser.add_argument("--pages", type=int, default=200, help="pages of each kind (200)")


def run(directory: Path, arguments: argparse.Namespace) -> Outcome:
    """Measure on both databases."""
    machine = describe(directory)
    measured: dict[str, dict[str, list[float]]] = {}
    with _on_sqlite(directory) as (name, url):
        measured[name] = _measure(directory / name, url, arguments)
    with _on_postgres(directory) as (name, url):
        measured[name] = _measure(directory / name, url, arguments)
    return _outcome(measured, arguments, machine)


@contextmanager
def _on_sqlite(directory: Path) -> Iterator[tuple[str, str]]:
    yield "SQLite", f"sqlite:///{directory / 'history.db'}"


@contextmanager
def _on_postgres(directory: Path) -> Iterator[tuple[str, str]]:
    with postgres(directory) as cluster:
        cluster.run("createdb", "history")
        yield "PostgreSQL", cluster.url("history")


def _measure(directory: Path, url: str, arguments: argparse.Namespace) -> dict[str, list[float]]:
    with cloudyard(directory, SETTINGS.format(url=url)) as yard:
        me = call("GET", yard.base_url + PROFILE_PATH, headers=_headers(yard))["data"]["id"]
        begun = time.perf_counter()
        asyncio.run(_fill(url, me, arguments))
        say(f"{arguments.lines:,} lines written in {time.perf_counter() - begun:.0f} s")
        measured = _ask_for_pages(yard, arguments)
        begun = time.perf_counter()
        yard.verify_ledger()
        say(f"the ledger verified in {time.perf_counter() - begun:.0f} s")
    return measured


async def _fill(url: str, user_id: str, arguments: argparse.Namespace) -> None:
    database = Database(url)
    historian = Historian(database)
    try:
        for number in range(arguments.others // 2):
            await historian.write(f"other-{number}", 1000)
        await historian.write(user_id, arguments.lines)
        for number in range(arguments.others // 2, arguments.others):
            await historian.write(f"other-{number}", 1000)
    finally:
        await database.close()


def _ask_for_pages(yard: Cloudyard, arguments: argparse.Namespace) -> dict[str, list[float]]:
    chance = random.Random(SEED)
    measured: dict[str, list[float]] = {}
    pages = _Pages(yard)
    try:
        total = pages.ask(HISTORY_PATH, {"limit": "1"})[1]["pagination"]["total"]
        if total < arguments.lines:
            raise BenchError(f"The history has {total:,} lines and not {arguments.lines:,}.")
        for kind in _kinds():
            measured[kind.name] = [_ask_checked(pages, kind, chance, total) for _ in range(arguments.pages)]
            say(f"{kind.name}: {_figures(measured[kind.name])}")
    finally:
        pages.close()
    return measured


def _ask_checked(pages: "_Pages", kind: Kind, chance: random.Random, total: int) -> float:
    query = kind.ask(chance, total)
    seconds, answer = pages.ask(kind.path, query)
    if kind.path == HISTORY_PATH:
        _check(query, answer["data"], answer["pagination"])
    return seconds


def _check(query: Mapping[str, str], lines: list[Any], pagination: Mapping[str, Any]) -> None:
    """Raises BenchError unless the page holds what was asked for."""
    page, limit, total = int(query["page"]), int(query["limit"]), pagination["total"]
    ascending = query.get("sort") == "createdAt"
    moments = [line["createdAt"] for line in (lines if ascending else lines[::-1])]
    since, until = query.get("since", ""), query.get("until", "9")
    right = (
        len(lines) == max(0, min(limit, total - (page - 1) * limit))
        and moments == sorted(moments)
        and all(line["type"] == query.get("type", line["type"]) for line in lines)
        and all(since <= moment < until for moment in moments)
        and ("type" in query or _follow(lines if ascending else lines[::-1]))
    )
    if not right:
        raise BenchError(f"The page {dict(query)} is wrong: {pagination}, {lines[:3]} and so on.")


def _follow(lines: list[Any]) -> bool:
    """Whether each balance is that of the line before and the amount, to a thousandth of a credit."""
    return all(
        abs(before["balance"] + line["amount"] - line["balance"]) < 0.001 for before, line in itertools.pairwise(lines)
    )


class _Pages:
    """One connection that is kept."""

    def __init__(self, yard: Cloudyard) -> None:
        address = urlsplit(yard.base_url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
        self._headers = _headers(yard)

    def ask(self, path: str, query: Mapping[str, str]) -> tuple[float, Any]:
        """Seconds until a page was there, and the page. Raises BenchError unless it is a 200."""
        begun = time.perf_counter()
        self._connection.request("GET", f"{path}?{urlencode(query)}", headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - begun
        if answer.status != 200:
            raise BenchError(f"The page {dict(query)} was answered with {answer.status}: {body[:500]!r}")
        return seconds, json.loads(body)

    def close(self) -> None:
        self._connection.close()


def _headers(yard: Cloudyard) -> dict[str, str]:
    return {"Authorization": f"Bearer {yard.key}"}


def _kinds() -> list[Kind]:
    return [
        Kind("first page", lambda chance, _: _page(chance, 1)),
        Kind("last page", lambda chance, total: _page(chance, total)),
        Kind("middle page", lambda chance, total: _page(chance, total // 2)),
        Kind("any page", lambda chance, total: _page(chance, chance.randint(1, total))),
        Kind("any page, oldest first", lambda chance, total: _page(chance, chance.randint(1, total)) | _OLDEST),
        *(Kind(f"any page of type {kind}", _of_type(kind)) for kind in TYPES),
        Kind("any page of a period", lambda chance, total: _within_period(chance, total)),
        *(
            Kind(f"any page of type {kind} in a period", _of_type(kind, _within_period))
            for kind in ("usage", "purchase")
        ),
        Kind(
            "any page of NeuroGrid's",
            lambda chance, total: _page(chance, chance.randint(1, total)),
            TRANSACTIONS_PATH,
        ),
    ]


_OLDEST = {"sort": "createdAt"}


def _page(chance: random.Random, line: int) -> dict[str, str]:
    """The page on which a line stands."""
    limit = chance.choice(LIMITS)
    return {"page": str(-(-line // limit)), "limit": str(limit)}


def _of_type(kind: str, ask: Ask | None = None) -> Ask:
    share = 0.8 if kind == "usage" else 0.05

    def of_type(chance: random.Random, total: int) -> dict[str, str]:
        among = int(total * share)
        found = ask(chance, among) if ask is not None else _page(chance, chance.randint(1, among))
        return found | {"type": kind} | chance.choice([{}, _OLDEST])

    return of_type


def _within_period(chance: random.Random, total: int) -> dict[str, str]:
    """Some days, up to all of them, and a page that the year's share of lines should reach."""
    days = chance.randint(1, LASTED.days)
    first = BEGUN.date() + timedelta(days=chance.randint(0, LASTED.days - days))
    line = chance.randint(1, max(1, total * days // LASTED.days))
    return _page(chance, line) | {"since": str(first), "until": str(first + timedelta(days=days))}


def _quantiles(seconds: list[float]) -> tuple[float, float]:
    """Median and 95th percentile, in milliseconds."""
    return statistics.median(seconds) * 1000, statistics.quantiles(seconds, n=20, method="inclusive")[18] * 1000


def _figures(seconds: list[float]) -> str:
    p50, p95 = _quantiles(seconds)
    return f"p50 {p50:.1f} ms, p95 {p95:.1f} ms"


def _outcome(
    measured: Mapping[str, Mapping[str, list[float]]], arguments: argparse.Namespace, machine: Mapping[str, str]
) -> Outcome:
    figures = {
        database: {
            kind: dict(zip(("p50_ms", "p95_ms"), (round(ms, 2) for ms in _quantiles(seconds)), strict=True))
            for kind, seconds in kinds.items()
        }
        for database, kinds in measured.items()
    }
    rows = [
        [kind, *(f"{figures[database][kind][name]:.1f}" for database in figures for name in ("p50_ms", "p95_ms"))]
        for kind in next(iter(figures.values()))
    ]
    return Outcome(
        name="history",
        title=f"Pages of a history of {arguments.lines:,} lines",
        figures=figures,
        table=Table(["page", *(f"{database}, {name} ms" for database in figures for name in ("p50", "p95"))], rows),
        machine=machine,
        notes=[
            f"{arguments.pages} pages of each kind, of {LIMITS[0]} or {LIMITS[1]} lines, one request after the other.",
            "The time is a client's: request, authentication, look-up, answer. Pages of a type are asked for from "
            "either end.",
            f"The wallet is one among {arguments.others + 1}; a fifth of its lines is no usage.",
        ],
        detail={
            database: {kind: list(seconds) for kind, seconds in kinds.items()} for database, kinds in measured.items()
        },
    )
