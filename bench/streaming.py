"""Streamed tokens/s through Cloudyard and from xllamacpp driven directly, 1 and 8 streams.

The same GGUF, slots, context and threads, the same prompts, temperature 0 and the same max_tokens.
The two take turns in every round, the one that begins alternates, and the ratio is the median over
the rounds. Each round has prompts of its own, so that no prompt cache helps either.
"""

import argparse
import importlib.metadata
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from servers.cloudyard import LOCAL_MODEL, LOCAL_SLOTS, LOCAL_THREADS, cloudyard, local_settings
from servers.llama import llama
from support.console import say
from support.load import Target
from support.machine import describe
from support.report import Outcome, Table
from support.setup import MODEL_WHEEL, ensure_model
from support.streams import Batch, stream_together

STREAMS = (1, 8)
SUBJECTS = ("cloudyard", "direct")
REPEATS = {1: 3, 8: 1}
"""Measurements in a round: one stream is over soon, so it is measured more often."""
TOPICS = (
    "a lighthouse keeper",
    "the history of bridges",
    "how bread is made",
    "a journey by train",
    "the life of bees",
    "a storm at sea",
    "an old library",
    "the growth of a city",
)

Rounds = dict[int, dict[str, list[Batch]]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this bench."""
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--only", choices=["direct"], help="measure xllamacpp alone; nothing is kept under results/")


def run(directory: Path, arguments: argparse.Namespace) -> Outcome:
    """Measure and compare."""
    model = ensure_model()
    machine = describe(directory) | {"model": f"{model.name} from {MODEL_WHEEL}"}
    machine["engine"] = (
        f"xllamacpp {importlib.metadata.version('xllamacpp')}, {LOCAL_SLOTS} slots, {LOCAL_THREADS} threads"
    )
    with llama(directory, model) as (direct, _):
        if arguments.only:
            rounds = _measure({"direct": direct}, arguments)
        else:
            with cloudyard(directory, local_settings(model)) as yard:
                rounds = _measure({"cloudyard": yard.target, "direct": direct}, arguments)
                yard.verify_ledger()
    return _outcome(rounds, machine, complete=not arguments.only)


def _measure(targets: Mapping[str, Target], arguments: argparse.Namespace) -> Rounds:
    rounds: Rounds = {streams: {name: [] for name in targets} for streams in STREAMS}
    for name, target in targets.items():
        say(f"warming up {name}")
        stream_together(target, _requests(0, 0, max(STREAMS), 16))
    for number in range(1, arguments.rounds + 1):
        for streams in STREAMS:
            for repeat in range(REPEATS[streams]):
                requests = _requests(number, repeat, streams, arguments.max_tokens)
                for name in _order(list(targets), number + repeat):
                    rounds[streams][name].append(stream_together(targets[name], requests))
        say(f"round {number}/{arguments.rounds}: {_progress(rounds)}")
    return rounds


def _order(names: list[str], turn: int) -> list[str]:
    return names if turn % 2 else names[::-1]


def _requests(number: int, repeat: int, streams: int, max_tokens: int) -> list[dict[str, Any]]:
    return [
        {
            "model": LOCAL_MODEL,
            "messages": [{"role": "user", "content": _prompt(f"{number}.{repeat}.{stream}", stream)}],
            "temperature": 0,
            "max_tokens": max_tokens,
        }
        for stream in range(streams)
    ]


def _prompt(serial: str, stream: int) -> str:
    return f"{serial}: Write a very long and detailed text about {TOPICS[stream]}. Do not stop early."


def _progress(rounds: Rounds) -> str:
    return ", ".join(
        f"{name} {measured[-1].tokens_per_second:.1f} tokens/s with {_title(streams)}"
        for streams, by_name in rounds.items()
        for name, measured in by_name.items()
    )


def _outcome(rounds: Rounds, machine: Mapping[str, str], *, complete: bool) -> Outcome:
    figures: dict[str, Any] = {
        "tokens_per_s": {
            str(streams): {name: round(_speed(measured), 2) for name, measured in by_name.items()}
            for streams, by_name in rounds.items()
        }
    }
    notes = ["Tokens of all streams over the time from the first request to the last answer's end; medians."]
    if complete:
        figures["ratio"] = {str(streams): round(_ratio(by_name), 4) for streams, by_name in rounds.items()}
        same, pairs = _identical(rounds[1])
        notes.append(f"With one stream, {same} of {pairs} answers of the two were the same to the letter.")
    return Outcome(
        name="streaming",
        title="Streamed tokens through Cloudyard and from xllamacpp driven directly",
        figures=figures,
        table=_table(rounds),
        machine=machine,
        notes=notes,
        detail=_detail(rounds),
        complete=complete,
    )


def _table(rounds: Rounds) -> Table:
    rows = []
    for streams, by_name in rounds.items():
        for name, measured in by_name.items():
            ratio = f"{_ratio(by_name):.1%}" if name == "cloudyard" else ""
            wait = statistics.median(batch.first_token_ms for batch in measured)
            rows.append([f"{name}, {_title(streams)}", f"{_speed(measured):.1f}", ratio, f"{wait:.0f}"])
    return Table(["", "tokens/s", "of direct", "first token after, ms"], rows)


def _title(streams: int) -> str:
    return "1 stream" if streams == 1 else f"{streams} streams"


def _speed(measured: Sequence[Batch]) -> float:
    return statistics.median(batch.tokens_per_second for batch in measured)


def _ratio(by_name: Mapping[str, Sequence[Batch]]) -> float:
    pairs = zip(*(by_name[name] for name in SUBJECTS), strict=True)
    return float(statistics.median(ours.tokens_per_second / theirs.tokens_per_second for ours, theirs in pairs))


def _identical(by_name: Mapping[str, Sequence[Batch]]) -> tuple[int, int]:
    pairs = list(zip(*(by_name[name] for name in SUBJECTS), strict=True))
    return sum(ours.streams[0].text == theirs.streams[0].text for ours, theirs in pairs), len(pairs)


def _detail(rounds: Rounds) -> dict[str, Any]:
    return {
        f"{name}, {_title(streams)}": [
            {
                "tokens": batch.tokens,
                "tokens_per_s": round(batch.tokens_per_second, 3),
                "first_token_ms": round(batch.first_token_ms, 2),
            }
            for batch in measured
        ]
        for streams, by_name in rounds.items()
        for name, measured in by_name.items()
    }
