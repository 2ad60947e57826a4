from datetime import UTC, datetime
from decimal import Decimal

import pytest

from cloudyard.domains.ledger import EntryKind, HistoryEntry, Wallet
from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.money import CreditRate
from cloudyard.surfaces.neurogrid.mapping import pagination, spend_cap_nanos, timestamp, transaction_views, wallet_view
from cloudyard.web.paging import Page

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 999_999, tzinfo=UTC)


def test_moments_have_milliseconds() -> None:
    assert timestamp(MOMENT) == "2026-01-31T12:00:00.999Z"
    assert timestamp(MOMENT.replace(microsecond=0)) == "2026-01-31T12:00:00.000Z"


@pytest.mark.parametrize(("total", "pages"), [(0, 0), (20, 1), (21, 2), (150, 8)])
def test_pagination(total: int, pages: int) -> None:
    view = pagination(Page(1, 20), total)
    assert view.model_dump() == {"page": 1, "limit": 20, "total": total, "pages": pages}


def test_a_wallet_is_in_dollars_and_in_credits() -> None:
    wallet = Wallet("u-1", available=1_250_000_000, held=10_000_000, earnings=1, updated_at=MOMENT)
    assert wallet_view(wallet, CreditRate()).model_dump() == {
        "balance": 1.25,
        "held": 0.01,
        "earnings": 0.000000001,
        "currency": "USD",
        "credits": 125,
        "updated_at": "2026-01-31T12:00:00.999Z",
    }


def test_a_transaction_is_in_dollars_and_in_credits() -> None:
    (view,) = transaction_views([HistoryEntry("t-1", EntryKind.USAGE, -3, 2_000_000_000, "Chat", MOMENT)], CreditRate())
    assert view.model_dump() == {
        "id": "t-1",
        "type": "usage",
        "amount": -0.000000003,
        "balance": 2,
        "currency": "USD",
        "credits": -0.0000003,
        "description": "Chat",
        "created_at": "2026-01-31T12:00:00.999Z",
    }


def test_a_spend_cap_is_exact_or_refused() -> None:
    assert spend_cap_nanos(None) is None
    assert spend_cap_nanos(Decimal("0.1")) == 100_000_000
    with pytest.raises(InvalidInput) as caught:
        spend_cap_nanos(Decimal("0.0000000001"))
    assert caught.value.field == "spend_cap"
