"""requests/s and latency of Cloudyard, LiteLLM and Portkey in front of the same nginx upstream.

One worker each, keep-alive, the same request body from the same load generator (wrk), all in one run.
Rounds are interleaved (A B C A B C) and medians taken. Every answer of the warm-up is compared with
what the upstream sent; in the measured rounds no request may fail, samples are compared before and
after, and the upstream must have been asked at least once for each answer. Cloudyard charges every
answer durably; its wallet and its ledger are checked at the end.
"""

import argparse
import contextlib
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from servers.cloudyard import CREDITS_PER_ANSWER, Cloudyard, cloudyard, gateway_settings
from servers.litellm import litellm
from servers.portkey import portkey
from servers.upstream import REQUEST, SENTENCE, Upstream, upstream
from support.console import BenchError, say
from support.http import call
from support.load import Load, Target, drive
from support.machine import describe, version_of
from support.processes import Running
from support.report import Outcome, Table
from support.setup import LITELLM_VERSION, PORTKEY_VERSION, ensure_commands

NAMES = ("cloudyard", "litellm", "portkey")
REFERENCE = "direct"
CROWD = 64
WARM_UP_SECONDS = 4
SAMPLES = 5


@dataclass(frozen=True, slots=True)
class Round:
    """One subject measured once at each number of connections."""

    crowd: Load
    alone: Load


@dataclass(frozen=True, slots=True)
class Subject:
    """A gateway under test; the reference row has no process of its own."""

    target: Target
    server: Running | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this bench."""
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10, help="length of one measurement at 64 connections")
    parser.add_argument("--only", help=f"some of {','.join((*NAMES, REFERENCE))}; nothing is kept under results/")


def run(directory: Path, arguments: argparse.Namespace) -> Outcome:
    """Measure and compare."""
    chosen = tuple(arguments.only.split(",")) if arguments.only else (*NAMES, REFERENCE)
    ensure_commands({"wrk": "wrk", "/usr/sbin/nginx": "nginx"})
    machine = describe(directory) | _versions()
    with contextlib.ExitStack() as stack:
        provider = stack.enter_context(upstream(directory))
        yard = stack.enter_context(cloudyard(directory, gateway_settings(provider))) if "cloudyard" in chosen else None
        subjects = [_start(name, stack, directory, provider, yard) for name in chosen]
        for subject in subjects:
            _warm_up(subject.target)
        before = yard.balance() if yard else 0.0
        rounds = _measure(subjects, provider, arguments.rounds, arguments.seconds)
        memory = {s.target.name: s.server.resident_bytes() for s in subjects if s.server}
        charged = _check_charges(yard, before, rounds["cloudyard"]) if yard else None
    return _outcome(rounds, memory, machine, charged, complete=set(NAMES) <= set(chosen))


def _start(
    name: str, stack: contextlib.ExitStack, directory: Path, provider: Upstream, yard: Cloudyard | None
) -> Subject:
    say(f"starting {name}")
    if name == "cloudyard" and yard:
        return Subject(yard.target, yard.server)
    if name == "litellm":
        return Subject(*stack.enter_context(litellm(directory, provider)))
    if name == "portkey":
        return Subject(*stack.enter_context(portkey(directory, provider)))
    if name == REFERENCE:
        return Subject(provider.direct(), None)
    raise BenchError(f"There is no gateway named {name!r}: choose among {', '.join((*NAMES, REFERENCE))}.")


def _warm_up(target: Target) -> None:
    say(f"warming up {target.name}, comparing every answer")
    _compare_samples(target)
    drive(target, REQUEST, connections=CROWD, seconds=WARM_UP_SECONDS, expect=SENTENCE)
    drive(target, REQUEST, connections=1, seconds=1, expect=SENTENCE)


def _measure(subjects: Sequence[Subject], provider: Upstream, rounds: int, seconds: int) -> Mapping[str, list[Round]]:
    measured: dict[str, list[Round]] = defaultdict(list)
    for number in range(1, rounds + 1):
        for subject in subjects:
            result = _measure_once(subject.target, provider, seconds)
            measured[subject.target.name].append(result)
            say(
                f"round {number}/{rounds} {subject.target.name}: {result.crowd.per_second:.0f} requests/s"
                f" at {CROWD} connections, p50 {result.alone.p50_ms:.2f} ms at 1"
            )
    return measured


def _measure_once(target: Target, provider: Upstream, seconds: int) -> Round:
    _compare_samples(target)
    taken_before = provider.requests_taken()
    crowd = drive(target, REQUEST, connections=CROWD, seconds=seconds)
    alone = drive(target, REQUEST, connections=1, seconds=max(2, seconds // 2))
    taken = provider.requests_taken() - taken_before - 1
    if taken < crowd.requests + alone.requests:
        raise BenchError(
            f"{target.name} answered {crowd.requests + alone.requests} requests but asked the upstream only"
            f" {taken} times: it answers from somewhere else, so its figures cannot be compared."
        )
    _compare_samples(target)
    return Round(crowd, alone)


def _compare_samples(target: Target) -> None:
    for _ in range(SAMPLES):
        answer = call("POST", target.url, REQUEST, target.headers)
        said = answer["choices"][0]["message"]["content"]
        if said != SENTENCE or answer["usage"]["total_tokens"] != 40:
            raise BenchError(f"{target.name} changed the upstream's answer: {answer}")


def _check_charges(yard: Cloudyard, before: float, rounds: Sequence[Round]) -> dict[str, float]:
    answered = sum(each.crowd.requests + each.alone.requests for each in rounds)
    charged = (before - yard.balance()) / CREDITS_PER_ANSWER
    if charged < answered:
        raise BenchError(f"Cloudyard answered {answered} requests and charged for {charged:.0f} only.")
    say("recomputing the ledger")
    yard.verify_ledger()
    return {"answered": answered, "charged": charged}


def _versions() -> dict[str, str]:
    return {
        "wrk": version_of(["wrk", "-v"]).split(" Copyright")[0],
        "upstream": version_of(["/usr/sbin/nginx", "-v"]),
        "litellm": f"{LITELLM_VERSION}, 1 worker, no database, no spend tracking",
        "portkey": f"{PORTKEY_VERSION}, Node {version_of(['node', '--version'])}",
    }


def _outcome(
    rounds: Mapping[str, Sequence[Round]],
    memory: Mapping[str, int],
    machine: Mapping[str, str],
    charged: Mapping[str, float] | None,
    *,
    complete: bool,
) -> Outcome:
    named = [name for name in NAMES if name in rounds]
    figures = {
        "rps_64": {name: round(_median(rounds[name], "crowd", "per_second"), 1) for name in named},
        "p50_ms_1": {name: round(_median(rounds[name], "alone", "p50_ms"), 3) for name in named},
    }
    detail: dict[str, Any] = {name: [asdict(each) for each in measured] for name, measured in rounds.items()}
    notes = [
        f"The upstream alone (`{REFERENCE}`) is what wrk and nginx can do on this machine.",
        "p50 and p99 at one connection, requests/s at 64; the median of the rounds, their span in brackets.",
    ]
    if charged:
        notes.append("Cloudyard has a hold and its settlement on disk for every answer before the answer ends.")
        notes.append(
            f"Cloudyard answered {charged['answered']:,.0f} measured requests, charged {charged['charged']:,.0f}"
            " (the rest left with wrk before their answer, or are samples), and `cloudyard ledger verify` agreed."
        )
    return Outcome(
        name="gateway",
        title="Gateways in front of the same upstream",
        figures=figures,
        table=_table(rounds, memory),
        machine=machine,
        notes=notes,
        detail={"rounds": detail, "resident_bytes": dict(memory), "charges": charged},
        complete=complete,
    )


def _table(rounds: Mapping[str, Sequence[Round]], memory: Mapping[str, int]) -> Table:
    header = ["", "requests/s, 64 connections", "p99 ms, 64", "p50 ms, 1 connection", "p99 ms, 1", "memory, MiB"]
    rows = []
    for name, measured in rounds.items():
        speeds = [each.crowd.per_second for each in measured]
        rows.append(
            [
                name,
                f"{statistics.median(speeds):,.0f} ({min(speeds):,.0f}-{max(speeds):,.0f})",
                f"{_median(measured, 'crowd', 'p99_ms'):.1f}",
                f"{_median(measured, 'alone', 'p50_ms'):.2f}",
                f"{_median(measured, 'alone', 'p99_ms'):.2f}",
                f"{memory[name] / 2**20:.0f}" if name in memory else "",
            ]
        )
    return Table(header, rows)


def _median(rounds: Sequence[Round], part: str, measure: str) -> float:
    return float(statistics.median(getattr(getattr(each, part), measure) for each in rounds))
