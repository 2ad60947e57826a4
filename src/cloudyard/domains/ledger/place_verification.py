"""Recomputing from the statement lines what the database keeps about them."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, cast, func, literal, null, or_, select, union_all

from cloudyard.domains.ledger.models import statement_lines, statement_places, statement_totals
from cloudyard.domains.ledger.place_keeping import OTHERS
from cloudyard.domains.ledger.records import Discrepancy, EntryKind

_COUNTED = statement_lines.c.kind != EntryKind.USAGE.value


def wrong_places(connection: Connection) -> Iterator[Discrepancy]:
    """Every line that is no usage has its place among its kind and among them all, and nothing else has one."""
    kept = statement_places.c
    both = union_all(
        *(_due_places(series) for series in (statement_lines.c.kind, literal(OTHERS))),
        select(kept.user_id, kept.series, kept.place, cast(null(), BigInteger).label("due"), kept.number.label("kept")),
    ).subquery("both")
    due, found = func.max(both.c.due), func.max(both.c.kept)
    place = (both.c.user_id, both.c.series, both.c.place)
    query = select(*place, due.label("due"), found.label("kept")).group_by(*place)
    for row in connection.execute(query.having(due.is_distinct_from(found))):
        yield Discrepancy(
            f"user:{row.user_id}",
            "the place of a line in the statement is wrong",
            {"series": row.series, "place": row.place, "line": row.due, "kept": row.kept},
        )


def wrong_totals(connection: Connection) -> Iterator[Discrepancy]:
    """The total of each kind is the sum of its lines."""
    due = (
        select(
            statement_lines.c.kind, func.count().label("lines"), func.sum(statement_lines.c.amount_nanos).label("nanos")
        )
        .where(_COUNTED)
        .group_by(statement_lines.c.kind)
        .subquery("due")
    )
    kept = statement_totals
    same = kept.c.kind == due.c.kind
    wrong = or_(kept.c.lines.is_distinct_from(due.c.lines), kept.c.amount_nanos.is_distinct_from(due.c.nanos))
    sums = (due.c.lines.label("counted"), due.c.nanos)
    for query in (
        select(due.c.kind, kept.c.lines, kept.c.amount_nanos, *sums).outerjoin(kept, same).where(wrong),
        select(kept, *sums).outerjoin(due, same).where(due.c.kind.is_(None)),
    ):
        for row in connection.execute(query):
            yield Discrepancy(
                f"kind:{row.kind}",
                "its total is not that of its lines",
                {"kept": row.amount_nanos, "sum": int(row.nanos or 0), "lines": row.lines, "counted": row.counted or 0},
            )


def _due_places(series: ColumnElement[str]) -> Select[Any]:
    """Where the lines of a series stand."""
    user_id, number = statement_lines.c.user_id, statement_lines.c.number
    place = func.row_number().over(partition_by=(user_id, series), order_by=number)
    named = (series.label("series"), place.label("place"), number.label("due"), cast(null(), BigInteger).label("kept"))
    return select(user_id, *named).where(_COUNTED)
