"""Refunds and disputes of which no event ever arrives."""

from shop import AUTHENTICATED, STARTER, Shop

from cloudyard.backends.payments import open_payment_provider
from cloudyard.domains.payments import MissedReversals, PaymentProviderUnavailable, verify_payments
from cloudyard.foundation.settings.payments import PaymentSettings

CENT = 10_000_000


async def bought(shop: Shop) -> tuple[str, str]:
    """A buyer who has nothing but a package, and the id of the payment at Stripe."""
    user = await shop.books.user()
    await shop.payments.purchase(user, shop.order())
    return user, shop.provider.created[-1]


async def books_agree(shop: Shop) -> bool:
    async with shop.database.reading() as tx:
        return not await tx.run_sync(verify_payments) and not await shop.books.discrepancies()


async def test_a_refund_without_event_is_found_once(shop: Shop) -> None:
    user, intent = await bought(shop)
    shop.refund(intent, 400)
    assert [await shop.missed.run() for _ in range(2)] == [1, 0]
    assert (await shop.books.wallet(user)).available == 600 * CENT
    assert (await shop.heard()).count("payment.refunded") == 1
    assert await books_agree(shop)


async def test_a_dispute_without_event_is_found_and_so_is_its_end(shop: Shop) -> None:
    user, intent = await bought(shop)
    for status, found, left in [
        ("warning_needs_response", 0, STARTER),
        ("needs_response", 1, 0),
        ("needs_response", 0, 0),
        ("won", 1, STARTER),
        ("won", 0, STARTER),
    ]:
        shop.dispute(intent, status)
        assert (await shop.missed.run(), (await shop.books.wallet(user)).available) == (found, left)
    assert await books_agree(shop)


async def test_a_dispute_of_a_payment_whose_own_end_was_not_heard_of(shop: Shop) -> None:
    user = await shop.books.user()
    await shop.payments.purchase(user, shop.order(AUTHENTICATED))
    intent = shop.provider.created[-1]
    shop.authenticate(intent)
    shop.dispute(intent, "needs_response")
    assert await shop.missed.run() == 1
    assert (await shop.books.wallet(user)).available == 0
    assert await shop.heard() == ["payment.completed", "credit.purchased", "payment.disputed"]


async def test_what_is_none_of_ours_is_left_alone(shop: Shop) -> None:
    form = {"amount": "1000", "currency": "usd", "payment_method": "pm_card_visa"}
    foreign = shop.stripe.post("/v1/payment_intents", data=form).json()["id"]
    shop.stripe.post(f"/v1/payment_intents/{foreign}/confirm")
    shop.refund(foreign, 1000)
    shop.dispute(foreign, "lost")
    assert await shop.missed.run() == 0


async def test_a_list_that_cannot_be_read_holds_up_neither_the_other_nor_the_next_run(shop: Shop) -> None:
    user, intent = await bought(shop)
    shop.refund(intent, 400)
    shop.dispute(intent, "needs_response", 100)
    shop.provider.lost = {"refunds"}
    assert await shop.missed.run() == 1
    assert (await shop.books.wallet(user)).available == 900 * CENT
    shop.provider.lost = set()
    assert await shop.missed.run() == 1
    assert (await shop.books.wallet(user)).available == 500 * CENT


async def test_an_administrators_refund_whose_answer_was_lost_is_found(shop: Shop) -> None:
    user, _ = await bought(shop)
    (payment_id,) = await shop.rows()
    shop.provider.unanswered = {"refund"}
    try:
        await shop.refunds.refund(payment_id, actor="root", reason="Asked for", cents=400)
    except PaymentProviderUnavailable:
        assert await shop.missed.run() == 1
    assert (await shop.books.wallet(user)).available == 600 * CENT
    _, (made,) = await shop.payments.details(payment_id)
    assert made.state == "completed"


async def test_without_a_provider_there_is_nothing_to_read(shop: Shop) -> None:
    absent = open_payment_provider(PaymentSettings())
    assert await MissedReversals(shop.database, shop.clock, absent, shop.payments).run() == 0
