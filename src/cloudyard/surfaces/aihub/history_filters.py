"""The filters of the credit history: the document shows none, so they are named as those of other lists."""

from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BeforeValidator, WithJsonSchema

from cloudyard.domains.ledger import EntryKind, HistoryFilter
from cloudyard.web.moments import moment

LENGTH_OF_A_DATE = len("2030-01-31")


class HistoryType(StrEnum):
    """What a line of the history can be."""

    PURCHASE = "purchase"
    USAGE = "usage"
    BONUS = "bonus"
    ADJUSTMENT = "adjustment"
    REFUND = "refund"


class HistorySort(StrEnum):
    """The orders of the history."""

    NEWEST = "-createdAt"
    OLDEST = "createdAt"


def day_or_moment(value: object) -> datetime:
    """A moment, or the beginning of a day in UTC. ValueError for what is neither (RFC 3339, section 5.6)."""
    if isinstance(value, str) and len(value) == LENGTH_OF_A_DATE:
        return datetime.combine(date.fromisoformat(value), time(), UTC)
    return moment(value)


DayOrMoment = Annotated[
    datetime,
    BeforeValidator(day_or_moment),
    WithJsonSchema({"type": "string", "examples": ["2030-01-31", "2030-01-31T12:00:00Z"]}),
]


def history_filter(
    kind: Annotated[HistoryType | None, Query(alias="type", description="Lines of this type alone.")] = None,
    since: Annotated[
        DayOrMoment | None, Query(description="Written at this moment or later; a date is its midnight (UTC).")
    ] = None,
    until: Annotated[
        DayOrMoment | None, Query(description="Written before this moment; a date is its midnight (UTC).")
    ] = None,
    sort: Annotated[
        HistorySort, Query(description="Newest (`-createdAt`) or oldest (`createdAt`) first.")
    ] = HistorySort.NEWEST,
) -> HistoryFilter:
    """FastAPI dependency for `?type=&since=&until=&sort=`."""
    wanted = EntryKind(kind.value) if kind is not None else None
    return HistoryFilter(wanted, since, until, oldest_first=sort is HistorySort.OLDEST)


WantedHistory = Annotated[HistoryFilter, Depends(history_filter)]
