"""Reading a user's statement by page number, from any end, of one kind, of a period: whatever page, by few look-ups.

Lines are numbered without gaps. So what comes before a moment is found by halving, and so is what comes before a place
among the lines of one kind. The total of a selection is the difference of two such bounds, and nothing is counted.
The statements are built once: to build the recursive ones costs more than to run them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    String,
    and_,
    bindparam,
    case,
    select,
)

from cloudyard.domains.ledger.models import accounts, statement_lines, statement_places
from cloudyard.domains.ledger.place_keeping import OTHERS
from cloudyard.domains.ledger.records import EntryKind, HistoryEntry, HistoryFilter, wallet_of
from cloudyard.foundation.database import UtcDateTime

Before = Callable[[ColumnElement[int]], ColumnElement[bool]]
"""Whether the n-th of a sequence comes before what is looked for."""

EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def _given(name: str) -> BindParameter[int]:
    return bindparam(name, type_=BigInteger)


def _how_many(before: Before, count: str) -> Select[Any]:
    """How many of a sequence come before what is looked for: by halving, in one statement, each step one look-up."""
    search = select((_given(count) * 0).label("low"), _given(count).label("high")).cte(recursive=True)
    middle = (search.c.low + search.c.high + 1) // 2
    is_before = before(middle)
    step = select(case((is_before, middle), else_=search.c.low), case((is_before, search.c.high), else_=middle - 1))
    search = search.union_all(step.where(search.c.low < search.c.high))
    return select(search.c.low).where(search.c.low == search.c.high)


def _both(first: Select[Any], second: Select[Any]) -> Select[Any]:
    """Two numbers, asked for together."""
    return select(first.scalar_subquery(), second.scalar_subquery())


def _at(number: ColumnElement[int]) -> ColumnElement[datetime]:
    """When the line of a number was posted."""
    return select(statement_lines.c.created_at).where(_MINE, statement_lines.c.number == number).scalar_subquery()


def _number_at(place: ColumnElement[int]) -> ColumnElement[int]:
    """The number of the line at a place of the series."""
    return select(statement_places.c.number).where(_IN_SERIES, statement_places.c.place == place).scalar_subquery()


_MINE = statement_lines.c.user_id == bindparam("user_id", type_=String)
_IN_SERIES = and_(
    statement_places.c.user_id == bindparam("user_id", type_=String),
    statement_places.c.series == bindparam("series", type_=String),
)
_COUNTS = _both(
    select(accounts.c.statement_lines).where(accounts.c.id == bindparam("wallet", type_=String)),
    select(statement_places.c.place).where(_IN_SERIES).order_by(statement_places.c.place.desc()).limit(1),
)
_IN_PERIOD = _both(
    _how_many(lambda number: _at(number) < bindparam("since", type_=UtcDateTime), "lines"),
    _how_many(lambda number: _at(number) < bindparam("until", type_=UtcDateTime), "lines"),
)
_PLACES = _both(
    _how_many(lambda place: _number_at(place) <= _given("after"), "places"),
    _how_many(lambda place: _number_at(place) <= _given("last"), "places"),
)
_OTHERS_BEFORE_USAGE = _both(
    _how_many(lambda place: _number_at(place) - place <= _given("after"), "places"),
    _how_many(lambda place: _number_at(place) - place < _given("last"), "places"),
)
_NUMBERED = (
    select(statement_lines)
    .where(_MINE, statement_lines.c.number > _given("after"), statement_lines.c.number <= _given("last"))
    .order_by(statement_lines.c.number)
)
_USAGE = _NUMBERED.where(statement_lines.c.kind == EntryKind.USAGE.value)
_PLACED = (
    select(statement_lines)
    .select_from(statement_places)
    .join(
        statement_lines,
        and_(
            statement_lines.c.user_id == statement_places.c.user_id,
            statement_lines.c.number == statement_places.c.number,
        ),
    )
    .where(_IN_SERIES, statement_places.c.place > _given("after"), statement_places.c.place <= _given("last"))
    .order_by(statement_places.c.place)
)


@dataclass(frozen=True, slots=True)
class Run:
    """The neighbours `after` + 1 to `last` in a sequence that counts from 1."""

    after: int
    last: int

    def page(self, limit: int, offset: int, *, from_the_end: bool) -> "Run":
        """`limit` of them, `offset` after one end."""
        if from_the_end:
            last = max(self.last - offset, self.after)
            return Run(max(last - limit, self.after), last)
        after = min(self.after + offset, self.last)
        return Run(after, min(after + limit, self.last))


def read_history(
    connection: Connection, user_id: str, wanted: HistoryFilter, limit: int, offset: int
) -> tuple[Sequence[HistoryEntry], int]:
    """A page of what is wanted of a user's statement, and how many lines are.

    Lines stand in the order in which they were posted; a period is cut out of that order.
    """
    statement = _Statement(connection, user_id, wanted)
    run = statement.run()
    page = run.page(limit, offset, from_the_end=not wanted.oldest_first)
    entries = statement.entries(page)
    return entries if wanted.oldest_first else entries[::-1], run.last - run.after


class _Statement:
    """What is wanted of one user's statement. The lines of `_series` tell where those of its kind are."""

    def __init__(self, connection: Connection, user_id: str, wanted: HistoryFilter) -> None:
        self._connection = connection
        self._wanted = wanted
        self._series = OTHERS if wanted.kind in (None, EntryKind.USAGE) else wanted.kind.value
        self._owner = {"user_id": user_id, "series": self._series}
        self._lines, self._places = self._two(_COUNTS, wallet=wallet_of(user_id).id)

    def run(self) -> Run:
        """What is wanted, as neighbours: in the numbers of all lines, or in the places of those of its kind."""
        numbers = self._in_period()
        if self._wanted.kind is None or numbers.after == numbers.last:
            return numbers
        places = Run(0, self._places) if numbers == Run(0, self._lines) else self._places_of(numbers)
        if self._wanted.kind is EntryKind.USAGE:
            return Run(numbers.after - places.after, numbers.last - places.last)
        return places

    def entries(self, page: Run) -> list[HistoryEntry]:
        """The lines of a page, oldest first."""
        if page.after == page.last:
            return []
        if self._wanted.kind is None:
            return self._entries(_NUMBERED, page)
        if self._wanted.kind is EntryKind.USAGE:
            return self._entries(_USAGE, self._numbers_of_usage(page))
        return self._entries(_PLACED, page)

    def _in_period(self) -> Run:
        """The numbers of the lines that were posted when it is wanted."""
        since, until = self._wanted.since, self._wanted.until
        if since is None and until is None:
            return Run(0, self._lines)
        after, last = self._two(_IN_PERIOD, since=since or EARLIEST, until=until or LATEST, lines=self._lines)
        return Run(after, max(after, last))

    def _places_of(self, numbers: Run) -> Run:
        """The places of what has these numbers."""
        return Run(*self._two(_PLACES, after=numbers.after, last=numbers.last, places=self._places))

    def _numbers_of_usage(self, page: Run) -> Run:
        """From the number of one line of usage to that of another: so many of usage, and the others before it."""
        others = self._two(_OTHERS_BEFORE_USAGE, after=page.after, last=page.last, places=self._places)
        return Run(page.after + others[0], page.last + others[1])

    def _two(self, query: Select[Any], **given: object) -> tuple[int, int]:
        """The two numbers that a query finds; 0 for what is not there."""
        first, second = self._connection.execute(query, self._owner | given).one()
        return first or 0, second or 0

    def _entries(self, query: Select[Any], run: Run) -> list[HistoryEntry]:
        rows = self._connection.execute(query, self._owner | {"after": run.after, "last": run.last})
        return [_entry(row) for row in rows]


def _entry(row: Any) -> HistoryEntry:
    return HistoryEntry(
        row.transaction_id,
        EntryKind(row.kind),
        row.amount_nanos,
        row.balance_nanos,
        row.description,
        row.created_at,
    )
