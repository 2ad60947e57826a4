"""Refunds that administrators ask for: each made once, whatever is lost, and booked by whoever hears of it first."""

import asyncio
from typing import Any

import pytest
from shop import STARTER, Shop

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.payments import (
    NotRefundable,
    PaymentNotFound,
    PaymentProviderUnavailable,
    Refund,
    RefundRefused,
    RefundState,
    verify_payments,
)
from cloudyard.foundation.durable.idempotency import IdempotencyKeyReused
from cloudyard.foundation.errors import InvalidInput

CENT = 10_000_000
PAID = 1000
OPEN, COMPLETED, FAILED = RefundState.OPEN, RefundState.COMPLETED, RefundState.FAILED


async def bought(shop: Shop) -> tuple[str, str]:
    """A buyer who has nothing but a package, and the payment's id."""
    user = await shop.books.user()
    return user, (await shop.payments.purchase(user, shop.order())).payment.id


async def refund(shop: Shop, payment_id: str, cents: int | None = None, key: str | None = None) -> Refund:
    return await shop.refunds.refund(payment_id, actor="root", reason="Asked for", cents=cents, key=key)


async def at_stripe(shop: Shop, payment_id: str) -> list[int]:
    """The cents of each refund that Stripe made."""
    row = (await shop.rows())[payment_id]
    found = shop.stripe.get("/v1/refunds", params={"charge": row.charge_id, "limit": "100"}).json()["data"]
    return sorted(each["amount"] for each in found)


async def refund_events(shop: Shop, payment_id: str, status: str | None = None) -> list[dict[str, Any]]:
    """What Stripe's events of the refunds are about."""
    row = (await shop.rows())[payment_id]
    found = shop.stripe.get("/v1/refunds", params={"charge": row.charge_id, "limit": "100"}).json()["data"]
    return [each | ({"status": status} if status else {}) for each in found]


async def books_agree(shop: Shop) -> bool:
    async with shop.database.reading() as tx:
        return not await tx.run_sync(verify_payments) and not await shop.books.discrepancies()


async def test_a_refund_in_part_and_then_of_the_rest(shop: Shop) -> None:
    user, payment_id = await bought(shop)
    part = await refund(shop, payment_id, 250)
    assert (part.state, part.cents, part.taken, part.uncovered) == (COMPLETED, 250, 250 * CENT, 0)
    assert (await shop.books.wallet(user)).available == 750 * CENT
    rest = await refund(shop, payment_id)
    assert (rest.cents, (await shop.books.wallet(user)).available) == (750, 0)
    assert await at_stripe(shop, payment_id) == [250, 750]
    overview, refunds = await shop.payments.details(payment_id)
    assert (overview.refunded_cents, [each.id for each in refunds]) == (PAID, [rest.id, part.id])
    assert await books_agree(shop)
    assert (await shop.heard()).count("payment.refunded") == 2


async def test_it_is_in_the_audit_log(shop: Shop) -> None:
    user, payment_id = await bought(shop)
    made = await refund(shop, payment_id, 100)
    (entry,) = await AuditLog(shop.database, shop.clock).list(subject=f"payment:{payment_id}")
    assert (entry.actor, entry.action) == ("root", "payment.refund")
    assert entry.details == {"refund_id": made.id, "cents": 100, "reason": "Asked for", "user_id": user}


async def test_credits_that_were_spent_are_borne_by_promotions(shop: Shop) -> None:
    user, payment_id = await bought(shop)
    await shop.books.ledger.adjust(user, -700 * CENT, reason="Spent", actor=None)
    made = await refund(shop, payment_id)
    assert (made.taken, made.uncovered) == (300 * CENT, 700 * CENT)
    assert (await shop.books.wallet(user)).available == 0
    assert await books_agree(shop)


@pytest.mark.parametrize("cents", [1001, 10**12])
async def test_more_than_was_paid_is_refused(shop: Shop, cents: int) -> None:
    _, payment_id = await bought(shop)
    with pytest.raises(NotRefundable, match=r"\$10\.00 of the \$10\.00"):
        await refund(shop, payment_id, cents)
    await refund(shop, payment_id, 600)
    with pytest.raises(NotRefundable, match=r"\$4\.00 of the \$10\.00"):
        await refund(shop, payment_id, 401)
    await refund(shop, payment_id, 400)
    with pytest.raises(NotRefundable, match=r"\$0\.00 of the \$10\.00"):
        await refund(shop, payment_id)
    assert await at_stripe(shop, payment_id) == [400, 600]


async def test_what_went_back_from_stripes_side_counts(shop: Shop) -> None:
    _, payment_id = await bought(shop)
    row = (await shop.rows())[payment_id]
    await shop.event("charge.refunded", shop.refund(row.provider_id, 300))
    await shop.event(
        "charge.dispute.created",
        {"id": f"dp_{payment_id}", "amount": 500, "status": "needs_response", "payment_intent": row.provider_id},
    )
    with pytest.raises(NotRefundable):
        await refund(shop, payment_id, 201)
    assert (await refund(shop, payment_id)).cents == 200
    overview, _ = await shop.payments.details(payment_id)
    assert (overview.refunded_cents, overview.disputed_cents) == (500, 500)


async def test_refunds_at_once_give_back_no_more_than_was_paid(shop: Shop) -> None:
    user, payment_id = await bought(shop)
    outcomes = await asyncio.gather(*(refund(shop, payment_id, 300) for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(outcome, Refund) for outcome in outcomes) == 3
    assert sum(isinstance(outcome, NotRefundable) for outcome in outcomes) == 3
    assert await at_stripe(shop, payment_id) == [300] * 3
    assert (await shop.books.wallet(user)).available == 100 * CENT
    assert await books_agree(shop)


async def test_the_same_key_refunds_once_even_at_once(shop: Shop) -> None:
    user, payment_id = await bought(shop)
    made = await asyncio.gather(*(refund(shop, payment_id, 300, key="one") for _ in range(4)))
    assert len({each.id for each in made}) == 1
    again = await refund(shop, payment_id, 300, key="one")
    assert (again.id, again.state) == (made[0].id, COMPLETED)
    assert await at_stripe(shop, payment_id) == [300]
    with pytest.raises(IdempotencyKeyReused):
        await refund(shop, payment_id, 301, key="one")
    assert (await shop.books.wallet(user)).available == 700 * CENT


async def test_one_key_for_two_payments_at_once_refunds_one(shop: Shop) -> None:
    (user, one), (other, two) = await bought(shop), await bought(shop)
    outcomes = await asyncio.gather(
        refund(shop, one, key="same"), refund(shop, two, key="same"), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["IdempotencyKeyReused", "Refund"]
    left = [(await shop.books.wallet(each)).available for each in (user, other)]
    assert sorted(left) == [0, STARTER]


async def test_of_what_was_not_received_nothing_is_refunded(shop: Shop) -> None:
    user = await shop.books.user()
    shop.provider.lost = {"confirm"}
    with pytest.raises(PaymentProviderUnavailable):
        await shop.payments.purchase(user, shop.order())
    (payment_id,) = await shop.rows()
    with pytest.raises(NotRefundable, match="nothing was received"):
        await refund(shop, payment_id)
    with pytest.raises(PaymentNotFound):
        await refund(shop, "no-such-payment")


@pytest.mark.parametrize(
    ("change", "field"),
    [({"reason": " "}, "reason"), ({"reason": "x" * 501}, "reason"), ({"cents": 0}, "usd"), ({"cents": -1}, "usd")],
)
async def test_bad_requests_name_the_field(shop: Shop, change: dict[str, Any], field: str) -> None:
    _, payment_id = await bought(shop)
    with pytest.raises(InvalidInput) as caught:
        await shop.refunds.refund(payment_id, **{"actor": "root", "reason": "Asked for", **change})
    assert caught.value.field == field


async def test_what_stripe_refuses_is_free_to_be_refunded_again(shop: Shop) -> None:
    _, payment_id = await bought(shop)
    shop.provider.refused = {"refund"}
    with pytest.raises(RefundRefused, match="does not refund this"):
        await refund(shop, payment_id, key="one")
    with pytest.raises(RefundRefused, match=r"The refund failed: .*does not refund this"):
        await refund(shop, payment_id, key="one")
    shop.provider.refused = set()
    assert (await refund(shop, payment_id, key="two")).cents == PAID
    actions = [
        entry.action for entry in await AuditLog(shop.database, shop.clock).list(subject=f"payment:{payment_id}")
    ]
    assert actions == ["payment.refund", "payment.refund_failed", "payment.refund"]


@pytest.mark.parametrize("trouble", ["lost", "unanswered"])
async def test_a_refund_whose_answer_is_lost_is_made_once_under_its_key(shop: Shop, trouble: str) -> None:
    user, payment_id = await bought(shop)
    setattr(shop.provider, trouble, {"refund"})
    with pytest.raises(PaymentProviderUnavailable, match="settles by itself") as caught:
        await refund(shop, payment_id, 400, key="one")
    assert caught.value.for_operators == "at refund"
    with pytest.raises(NotRefundable):
        await refund(shop, payment_id, 601)
    assert (await shop.books.wallet(user)).available == STARTER
    setattr(shop.provider, trouble, set())
    assert (await refund(shop, payment_id, 400, key="one")).state is COMPLETED
    assert await at_stripe(shop, payment_id) == [400]
    assert (await shop.books.wallet(user)).available == 600 * CENT


@pytest.mark.parametrize("trouble", ["lost", "unanswered"])
async def test_a_refund_that_was_broken_off_is_gone_on_with(shop: Shop, trouble: str) -> None:
    user, payment_id = await bought(shop)
    setattr(shop.provider, trouble, {"refund"})
    with pytest.raises(PaymentProviderUnavailable):
        await refund(shop, payment_id, 400)
    shop.clock.advance(60)
    assert await shop.refunds.settle_due() == 1
    setattr(shop.provider, trouble, set())
    for _ in range(2):
        shop.clock.advance(3600)
        await shop.refunds.settle_due()
    assert await at_stripe(shop, payment_id) == [400]
    assert (await shop.books.wallet(user)).available == 600 * CENT
    assert await books_agree(shop)


@pytest.mark.parametrize("kind", ["charge.refunded", "refund.created"])
async def test_stripes_event_books_a_refund_whose_answer_was_lost(shop: Shop, kind: str) -> None:
    user, payment_id = await bought(shop)
    shop.provider.unanswered = {"refund"}
    with pytest.raises(PaymentProviderUnavailable):
        await refund(shop, payment_id, 400)
    shop.provider.unanswered = set()
    (about,) = await refund_events(shop, payment_id)
    if kind == "charge.refunded":
        about = shop.stripe.get(f"/v1/charges/{about['charge']}").json()
    for _ in range(2):
        await shop.event(kind, about)
    _, (made,) = await shop.payments.details(payment_id)
    assert (made.state, made.taken) == (COMPLETED, 400 * CENT)
    shop.clock.advance(3600)
    assert await shop.refunds.settle_due() == 0
    assert (await shop.books.wallet(user)).available == 600 * CENT
    assert await at_stripe(shop, payment_id) == [400]


async def test_a_refund_that_fails_at_the_bank_gives_the_credits_back(shop: Shop) -> None:
    user, payment_id = await bought(shop)
    made = await refund(shop, payment_id, 400, key="one")
    (failed,) = await refund_events(shop, payment_id, "failed")
    (late,) = await refund_events(shop, payment_id, "pending")
    for about in (failed, late):
        await shop.event("refund.updated", about)
    assert (await shop.books.wallet(user)).available == STARTER
    _, (after,) = await shop.payments.details(payment_id)
    assert (after.id, after.state) == (made.id, FAILED)
    with pytest.raises(RefundRefused, match="failed at the bank"):
        await refund(shop, payment_id, 400, key="one")
    assert await books_agree(shop)


async def test_another_worker_has_the_refund_to_itself(shop: Shop) -> None:
    """One that died without a word: its lease ends, and then another goes on."""
    user, payment_id = await bought(shop)
    shop.provider.dies_at = {"refund"}
    with pytest.raises(asyncio.CancelledError):
        await refund(shop, payment_id, 400, key="one")
    shop.provider.dies_at = set()
    assert (await refund(shop, payment_id, 400, key="one")).state is OPEN
    assert await shop.refunds.settle_due() == 0
    assert await at_stripe(shop, payment_id) == []
    shop.clock.advance(130)
    assert (await refund(shop, payment_id, 400, key="one")).state is COMPLETED
    assert (await shop.books.wallet(user)).available == 600 * CENT


async def test_payments_are_listed_newest_first_with_what_went_back(shop: Shop) -> None:
    first, one = await bought(shop)
    _, two = await bought(shop)
    await refund(shop, two, 400)
    found, total = await shop.payments.list(limit=1)
    assert (found[0].payment.id, found[0].refunded_cents, total) == (two, 400, 2)
    (only,), total = await shop.payments.list(user_id=first)
    assert (only.payment.id, only.refunded_cents, total) == (one, 0, 1)
