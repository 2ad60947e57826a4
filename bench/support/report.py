"""What a bench hands back, and the files written from it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "results"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text: one header row, then the rows."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table as Markdown, first column left, the others right."""
        rule = ["---", *["---:"] * (len(self.header) - 1)]
        return "\n".join("| " + " | ".join(row) + " |" for row in [self.header, rule, *self.rows])


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished bench."""

    name: str
    title: str
    figures: Mapping[str, Any]
    """What `--json` receives."""
    table: Table
    machine: Mapping[str, str]
    notes: Sequence[str] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)
    """Every single measurement."""
    complete: bool = True
    """False when only some of the subjects were measured: such a run is not kept under results/."""


def markdown(outcome: Outcome) -> str:
    """The page that is committed: table, notes, machine."""
    machine = Table(["machine", ""], [[key, value] for key, value in outcome.machine.items()])
    notes = "\n".join(f"- {note}" for note in outcome.notes)
    parts = [f"# {outcome.title}", f"Made by `script/bench {outcome.name}`.", outcome.table.markdown(), notes]
    return "\n\n".join([*parts, machine.markdown()]) + "\n"


def write(outcome: Outcome, figures_file: Path | None) -> None:
    """Write the figures to the file asked for and, for a complete run, JSON and Markdown under results/."""
    if figures_file:
        figures_file.parent.mkdir(parents=True, exist_ok=True)
        figures_file.write_text(json.dumps(outcome.figures, indent=2) + "\n")
    if not outcome.complete:
        return
    RESULTS.mkdir(exist_ok=True)
    everything = asdict(outcome)
    (RESULTS / f"{outcome.name}.json").write_text(json.dumps(everything, indent=2) + "\n")
    (RESULTS / f"{outcome.name}.md").write_text(markdown(outcome))
