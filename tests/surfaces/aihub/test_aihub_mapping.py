from datetime import UTC, datetime

import pytest

from cloudyard.domains.ledger import EntryKind, HistoryEntry, Wallet
from cloudyard.foundation.money import CreditRate
from cloudyard.surfaces.aihub.mapping import balance_view, history_lines, pagination, timestamp
from cloudyard.web.paging import Page

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 999_999, tzinfo=UTC)


def test_moments_are_written_as_the_document_does() -> None:
    assert timestamp(MOMENT) == "2026-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("page", "limit", "total", "pages", "following", "before"),
    [
        (1, 20, 0, 0, False, False),
        (1, 20, 20, 1, False, False),
        (1, 20, 21, 2, True, False),
        (9, 20, 21, 2, False, True),
    ],
)
def test_pagination(page: int, limit: int, total: int, pages: int, following: bool, before: bool) -> None:
    view = pagination(Page(page, limit), total)
    assert view.model_dump(by_alias=True) == {
        "page": page,
        "limit": limit,
        "total": total,
        "totalPages": pages,
        "hasNext": following,
        "hasPrev": before,
    }


@pytest.mark.parametrize(("per_usd", "balance", "held"), [(100, 12.5, 1), (1, 0.125, 0.01), (1000, 125, 10)])
def test_credits_follow_the_configured_rate(per_usd: int, balance: float, held: float) -> None:
    wallet = Wallet("u-1", available=125_000_000, held=10_000_000, earnings=0, updated_at=MOMENT)
    view = balance_view(wallet, CreditRate(per_usd))
    assert (view.balance, view.held, view.last_updated) == (balance, held, "2026-01-31T12:00:00Z")


def test_history_is_in_credits() -> None:
    entry = HistoryEntry("t-1", EntryKind.USAGE, -1, 999_999_999, "Chat", MOMENT)
    (line,) = history_lines([entry], CreditRate())
    assert line.model_dump(by_alias=True) == {
        "id": "t-1",
        "type": "usage",
        "amount": -0.0000001,
        "balance": 99.9999999,
        "description": "Chat",
        "createdAt": "2026-01-31T12:00:00Z",
    }
