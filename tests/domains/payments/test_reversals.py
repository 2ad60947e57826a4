"""Refunds and disputes: where the money and the credits end."""

from typing import Any

import pytest
from shop import STARTER, VISA, Shop
from sqlalchemy import select

from cloudyard.domains.ledger.models import accounts
from cloudyard.domains.payments import Order, PaymentMismatch

CENT = 10_000_000
PLUS_VALUE, PLUS_CENTS = 5000 * CENT, 4800


async def balances(shop: Shop) -> dict[str, int]:
    async with shop.database.reading() as tx:
        rows = await tx.all(select(accounts.c.id, accounts.c.balance_nanos))
    return {row.id: row.balance_nanos for row in rows if row.balance_nanos}


async def bought(shop: Shop, package: str = "pkg_starter") -> tuple[str, str]:
    """A buyer who has nothing but a package, and the id of the payment at Stripe."""
    user = await shop.books.user()
    purchase = await shop.payments.purchase(user, Order(package, None, VISA))
    assert purchase.payment.provider_id is not None
    return user, purchase.payment.provider_id


def dispute(intent_id: str, status: str, cents: int = 1000) -> dict[str, Any]:
    return {"id": f"dp_{intent_id}", "amount": cents, "status": status, "payment_intent": intent_id}


async def test_a_purchase_stands_on_the_clearing_account(shop: Shop) -> None:
    user, _ = await bought(shop)
    assert await balances(shop) == {f"wallet:{user}": STARTER, "clearing:stripe": -STARTER}


async def test_promotions_pay_the_discount_of_a_package_and_get_it_back(shop: Shop) -> None:
    user, intent = await bought(shop, "pkg_plus")
    discount = PLUS_VALUE - PLUS_CENTS * CENT
    paid = {"clearing:stripe": -PLUS_CENTS * CENT, "promotions:platform": -discount}
    assert await balances(shop) == {f"wallet:{user}": PLUS_VALUE, **paid}
    await shop.event("charge.refunded", shop.refund(intent, PLUS_CENTS))
    assert await balances(shop) == {}
    assert await shop.books.discrepancies() == []


async def test_partial_refunds_take_their_share_each_once(shop: Shop) -> None:
    user, intent = await bought(shop)
    for cents, left in ((250, 750), (250, 500), (500, 0)):
        event = shop.refund(intent, cents)
        await shop.event("charge.refunded", event)
        await shop.event("charge.refunded", event)
        assert (await shop.books.wallet(user)).available == left * CENT
    assert await balances(shop) == {}


@pytest.mark.parametrize("parts", [(1600, 1600, 1600), (7, 11, 4782), (4799, 1)])
@pytest.mark.parametrize("asked_for_here", [False, True])
async def test_parts_that_return_everything_leave_nothing(
    shop: Shop, parts: tuple[int, ...], asked_for_here: bool
) -> None:
    _, intent = await bought(shop, "pkg_plus")
    payment_id = next(iter(await shop.rows()))
    shop.provider.most_refunded = PLUS_CENTS
    for cents in parts:
        if asked_for_here:
            await shop.refunds.refund(payment_id, actor="root", reason="Asked for", cents=cents)
        else:
            await shop.event("charge.refunded", shop.refund(intent, cents))
    assert await balances(shop) == {}
    assert await shop.books.discrepancies() == []


async def test_what_a_refund_no_longer_finds_is_borne_by_promotions(shop: Shop) -> None:
    user, intent = await bought(shop)
    await shop.books.ledger.adjust(user, -700 * CENT, reason="Spent", actor=None)
    await shop.event("charge.refunded", shop.refund(intent, 1000))
    left = await balances(shop)
    assert (left.get(f"wallet:{user}", 0), left["promotions:platform"]) == (0, -700 * CENT)
    assert "clearing:stripe" not in left
    assert await shop.books.discrepancies() == []


async def test_credits_set_aside_for_a_running_call_are_not_taken(shop: Shop) -> None:
    user, intent = await bought(shop)
    price = await shop.books.price(400 * CENT)
    charge = await shop.books.open(user, price)
    await shop.event("charge.refunded", shop.refund(intent, 1000))
    wallet = await shop.books.wallet(user)
    assert (wallet.available, wallet.held) == (0, 400 * CENT)
    await shop.books.charges.release(charge, "Not served")
    assert await shop.books.discrepancies() == []


async def test_a_refund_that_fails_gives_the_credits_back_once(shop: Shop) -> None:
    user, intent = await bought(shop)
    await shop.books.ledger.adjust(user, -700 * CENT, reason="Spent", actor=None)
    refund = {"id": "re_1_" + intent, "amount": 1000, "status": "pending", "payment_intent": intent}
    await shop.event("refund.created", refund)
    for _ in range(2):
        await shop.event("refund.failed", refund | {"status": "failed"})
        await shop.event("refund.created", refund)
    assert (await shop.books.wallet(user)).available == 300 * CENT
    assert (await balances(shop))["clearing:stripe"] == -STARTER
    assert await shop.books.discrepancies() == []


async def test_a_dispute_takes_the_credits_and_a_won_one_gives_them_back(shop: Shop) -> None:
    user, intent = await bought(shop)
    await shop.event("charge.dispute.created", dispute(intent, "warning_needs_response"))
    assert (await shop.books.wallet(user)).available == STARTER
    await shop.event("charge.dispute.created", dispute(intent, "needs_response"))
    await shop.event("charge.dispute.funds_withdrawn", dispute(intent, "needs_response"))
    assert (await shop.books.wallet(user)).available == 0
    await shop.event("charge.dispute.closed", dispute(intent, "won"))
    await shop.event("charge.dispute.funds_reinstated", dispute(intent, "won"))
    assert (await shop.books.wallet(user)).available == STARTER
    kinds = [line.kind.value for line in (await shop.books.ledger.history(user, limit=10))[0]]
    assert kinds == ["refund", "refund", "purchase"]


async def test_a_lost_dispute_stays_taken(shop: Shop) -> None:
    _, intent = await bought(shop)
    await shop.event("charge.dispute.closed", dispute(intent, "lost"))
    await shop.event("charge.dispute.created", dispute(intent, "needs_response"))
    assert await balances(shop) == {}
    assert await shop.heard() == ["payment.completed", "credit.purchased", "payment.disputed"]


async def test_the_end_of_a_dispute_may_come_before_its_beginning(shop: Shop) -> None:
    user, intent = await bought(shop)
    await shop.event("charge.dispute.closed", dispute(intent, "won"))
    await shop.event("charge.dispute.created", dispute(intent, "needs_response"))
    assert (await shop.books.wallet(user)).available == STARTER


async def test_refund_and_dispute_together_take_no_more_than_was_bought(shop: Shop) -> None:
    user, intent = await bought(shop)
    await shop.books.ledger.adjust(user, 500 * CENT, reason="A gift", actor=None)
    await shop.event("charge.refunded", shop.refund(intent, 600))
    await shop.event("charge.dispute.created", dispute(intent, "needs_response"))
    assert (await shop.books.wallet(user)).available == 500 * CENT
    assert (await balances(shop))["revenue:platform"] == -600 * CENT
    assert await shop.books.discrepancies() == []


async def test_a_refund_heard_of_before_the_payment_credits_first(shop: Shop) -> None:
    user = await shop.books.user()
    shop.provider.unanswered = {"confirm"}
    with pytest.raises(Exception, match="The line broke"):
        await shop.payments.purchase(user, shop.order())
    intent = shop.provider.created[-1]
    event = shop.refund(intent, 400) | {"payment_intent": intent}
    await shop.event("charge.refunded", event)
    assert (await shop.books.wallet(user)).available == 600 * CENT
    assert await shop.heard() == ["payment.completed", "credit.purchased", "payment.refunded"]


async def test_a_refund_of_what_was_never_received_is_not_booked(shop: Shop) -> None:
    user = await shop.books.user()
    shop.provider.lost = {"confirm"}
    with pytest.raises(Exception, match="The line broke"):
        await shop.payments.purchase(user, shop.order())
    intent = shop.provider.created[-1]
    with pytest.raises(PaymentMismatch):
        await shop.event(
            "refund.created", {"id": "re_x" + intent, "amount": 1, "status": "pending", "payment_intent": intent}
        )
    assert await balances(shop) == {}
