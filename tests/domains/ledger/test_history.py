"""Pages of a history: of every kind, period and order, however deep."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import product

import pytest
from sqlalchemy import Connection

from cloudyard.domains.ledger import (
    Entry,
    EntryKind,
    HistoryEntry,
    HistoryFilter,
    LedgerBatch,
    Line,
    Statement,
    wallet_of,
)
from cloudyard.domains.ledger.place_verification import wrong_places, wrong_totals
from cloudyard.domains.ledger.records import PROMOTIONS
from cloudyard.foundation.database import Database
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import Books

BONUS, USAGE, REFUND, PURCHASE = EntryKind.BONUS, EntryKind.USAGE, EntryKind.REFUND, EntryKind.PURCHASE
MINUTE = timedelta(minutes=1)
BEGUN_WITH_USAGE = [USAGE] * 5 + [BONUS, USAGE, USAGE, REFUND, BONUS, BONUS, USAGE, PURCHASE] + [USAGE] * 7
BEGUN_WITH_OTHERS = [BONUS, PURCHASE, BONUS, USAGE, REFUND, USAGE, USAGE, BONUS]


def write(connection: Connection, books: Books, at: datetime, user: str, kind: EntryKind, key: int) -> None:
    batch = LedgerBatch(connection, books.ids, at)
    batch.load([PROMOTIONS, wallet_of(user)])
    lines = (Line(PROMOTIONS, -10 - key), Line(wallet_of(user), 10 + key))
    batch.post(Entry(kind, f"{user}:{key}", lines, f"Line {key}", Statement(user, 10 + key)))
    batch.flush()


async def filled(books: Books, clock: ManualClock, kinds: Sequence[EntryKind]) -> tuple[str, list[datetime]]:
    """A user with a line of each kind in turn, two a minute, and when they were written."""
    user, moments = books.ids.new(), []
    for key, kind in enumerate(kinds):
        if key % 2 == 0:
            clock.advance(60)
        moments.append(clock.now())
        await books.database.run(partial(write, books=books, at=clock.now(), user=user, kind=kind, key=key))
    return user, moments


async def pages(books: Books, user: str, wanted: HistoryFilter, limit: int) -> list[HistoryEntry]:
    """Every page, one after the other; the total is the same on each, and beyond the last there is nothing."""
    found: list[HistoryEntry] = []
    totals = set()
    while True:
        page, total = await books.ledger.history(user, limit=limit, offset=len(found), wanted=wanted)
        totals.add(total)
        found.extend(page)
        if not page:
            break
    assert totals == {len(found)}
    return found


@pytest.mark.parametrize("kinds", [BEGUN_WITH_USAGE, BEGUN_WITH_OTHERS, [USAGE] * 4, [BONUS] * 4], ids=len)
async def test_every_selection_is_what_the_whole_history_has_of_it(
    books: Books, clock: ManualClock, kinds: list[EntryKind]
) -> None:
    user, moments = await filled(books, clock, kinds)
    await filled(books, clock, [USAGE, BONUS, USAGE])
    whole = await pages(books, user, HistoryFilter(oldest_first=True), 3)
    assert [line.kind for line in whole] == kinds
    bounds = [None, moments[0], moments[len(kinds) // 2], moments[-1] + MINUTE]
    for kind, since, until, oldest_first in product(
        [None, BONUS, USAGE, PURCHASE, REFUND, EntryKind.ADJUSTMENT], bounds, bounds, [True, False]
    ):
        expected = [
            line
            for line in whole
            if (kind is None or line.kind is kind)
            and (since is None or line.created_at >= since)
            and (until is None or line.created_at < until)
        ]
        wanted = HistoryFilter(kind, since, until, oldest_first)
        assert await pages(books, user, wanted, 4) == (expected if oldest_first else expected[::-1]), wanted


async def test_of_who_has_no_history_nothing_is_found(books: Books, clock: ManualClock) -> None:
    for wanted in (HistoryFilter(), HistoryFilter(BONUS), HistoryFilter(USAGE, since=clock.now())):
        assert await books.ledger.history("nobody", limit=10, wanted=wanted) == ([], 0)


async def test_lines_of_one_statement_have_their_places(books: Books, clock: ManualClock, database: Database) -> None:
    """A batch inserts its lines together."""

    def write_together(connection: Connection) -> None:
        batch = LedgerBatch(connection, books.ids, clock.now())
        batch.load([PROMOTIONS, *(wallet_of(user) for user in ("ada", "bob"))])
        for number in range(100):
            user, kind = ("ada", "bob")[number % 2], (BONUS, REFUND, USAGE)[number % 3]
            lines = (Line(PROMOTIONS, -1), Line(wallet_of(user), 1))
            batch.post(Entry(kind, f"{number}", lines, "One of many", Statement(user, 1)))
        batch.flush()

    await database.run(write_together)
    async with database.reading() as tx:
        assert await tx.run_sync(lambda connection: [*wrong_places(connection), *wrong_totals(connection)]) == []
    for user, kind in product(("ada", "bob"), (BONUS, REFUND, USAGE)):
        found = await pages(books, user, HistoryFilter(kind), 7)
        assert {line.kind for line in found} == {kind}
        assert len(found) in (16, 17)
