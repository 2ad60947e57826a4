"""The order of the stops."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cloudyard.backends.model_store.default_models import MINILM, SMOLLM2
from cloudyard.entrypoints.tour import stops
from cloudyard.entrypoints.tour.agent import agent_call
from cloudyard.entrypoints.tour.money import Purse
from cloudyard.entrypoints.tour.purchase import purchase
from cloudyard.entrypoints.tour.screen import Screen
from cloudyard.entrypoints.tour.talk import Talk, TourStopped
from cloudyard.entrypoints.tour.webhook import Administrator, webhook
from cloudyard.foundation.ids import Ids

DEFAULT_MODEL = SMOLLM2.name
DEFAULT_EMBEDDING_MODEL = MINILM.name


@dataclass(frozen=True, slots=True)
class TourOptions:
    """Where the tour goes. With `data_dir` it ends with `cloudyard ledger verify`, which needs the server's files;
    with an administrator it also shows what those can do.
    """

    url: str
    data_dir: Path | None = None
    model: str = DEFAULT_MODEL
    embedding_model: str = DEFAULT_EMBEDDING_MODEL
    administrator: Administrator | None = None


def take_tour(options: TourOptions, screen: Screen, ids: Ids) -> bool:
    """Show the server at `options.url`; whether every figure was right. Raises `TourStopped`."""
    with closing(Talk(options.url, screen)) as talk, _documented_shapes():
        token = stops.open_account(talk, screen, ids)
        purse = Purse(talk, screen, token)
        stops.welcome(screen, purse)
        key = stops.make_key(talk, screen, token)
        stops.streamed_answer(talk, screen, purse, key, options.model)
        stops.structured_answer(talk, screen, purse, key, options.model)
        stops.embeddings(talk, screen, purse, key, options.embedding_model)
        stops.remembered_chat(talk, screen, purse, token, options.model)
        stops.file_round_trip(talk, screen, purse, token)
        purchase(talk, screen, purse, token, ids)
        webhook(talk, screen, purse, token, options.administrator)
        agent_call(talk, screen, purse, key, options.model)
        screen.stop("The books", "Every charge of this tour, and what is left.")
        purse.close()
    _verify_ledger(screen, options.data_dir)
    return screen.wrong == 0


@contextmanager
def _documented_shapes() -> Iterator[None]:
    try:
        yield
    except (LookupError, TypeError) as error:
        raise TourStopped(
            f"An answer has not the shape that its document shows ({type(error).__name__}: {error}), so the tour "
            "cannot go on. Is the server of the same version as this command?"
        ) from error


def _verify_ledger(screen: Screen, data_dir: Path | None) -> None:
    """The whole ledger, recomputed by the command line beside the server's database."""
    if data_dir is None:
        screen.say()
        screen.say("  On the server itself, `cloudyard ledger verify` recomputes the whole ledger from its postings.")
        return
    words = ["ledger", "verify", "--data-dir", str(data_dir)]
    screen.command(shlex.join(["cloudyard", *words]))
    command = [sys.executable, "-m", "cloudyard", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    for line in _lines(done):
        screen.say(f"  {line}")
    screen.check(done.returncode == 0, "the whole ledger was recomputed, with every other user's charges")


def _lines(done: subprocess.CompletedProcess[str]) -> Iterator[str]:
    yield from done.stdout.splitlines()
    yield from done.stderr.splitlines()
