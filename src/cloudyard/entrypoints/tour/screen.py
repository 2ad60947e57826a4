"""What the tour prints: with colours on a terminal, plain where it is piped."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cloudyard.entrypoints.tour.shortening import shortened

INDENT = "  "


class Screen:
    """Prints one stop after the other, and keeps count of what was not as it should be."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stops = 0
        self.wrong = 0

    def stop(self, title: str, about: str) -> None:
        """Begin a stop."""
        self._stops += 1
        self._line()
        self._line(f"{self._stops}. {title}", "bold cyan")
        self._line(about, "dim")

    def command(self, line: str) -> None:
        """A command line that the reader could have typed."""
        self._line()
        for part in line.splitlines():
            self._line(INDENT + part, "green")

    def answer(self, body: Any) -> None:
        """An answer in JSON, shortened where it is long."""
        self._line()
        for part in json.dumps(shortened(body), indent=2, ensure_ascii=False, default=_number).splitlines():
            self._line(INDENT + part)

    def piece(self, text: str) -> None:
        """A piece of an answer, as it comes."""
        self._console.print(Text(text), end="", soft_wrap=True)

    def say(self, text: str = "") -> None:
        """A line of plain words."""
        self._line(text)

    def check(self, right: bool, what: str) -> None:
        """Something that must hold, and whether it does."""
        mark = ("ok       ", "green") if right else ("WRONG    ", "bold red")
        self._console.print(Text.assemble(INDENT, mark, what), soft_wrap=True)
        self.wrong += not right

    def skipped(self, why: str) -> None:
        """A stop that cannot be shown here, and what would make it possible."""
        self._console.print(Text.assemble(INDENT, ("skipped  ", "yellow"), why), soft_wrap=True)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Figures in columns, the first column words."""
        table = Table(box=None, pad_edge=False)
        for number, title in enumerate(head):
            table.add_column(title, justify="right" if number else "left", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        self._line()
        self._console.print(table, highlight=False)

    def _line(self, text: str = "", style: str = "") -> None:
        self._console.print(Text(text, style), soft_wrap=True)


def _number(value: object) -> float | int:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
