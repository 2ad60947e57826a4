"""Purchases, and what becomes of those that something interrupts."""

import asyncio
from decimal import Decimal

import pytest
from shop import AUTHENTICATED, AUTHENTICATED_DECLINED, DECLINED, STARTER, VISA, Shop

from cloudyard.domains.audit import AuditLog
from cloudyard.domains.payments import (
    Order,
    PackageNotFound,
    PaymentFailed,
    PaymentMethodRefused,
    PaymentMismatch,
    PaymentNotFound,
    PaymentProviderUnavailable,
    PaymentRefused,
    PaymentState,
    PriceList,
    TooManyOpenPurchases,
)
from cloudyard.foundation.durable.idempotency import IdempotencyKeyReused
from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.money import CreditRate
from cloudyard.foundation.settings.payments import PackageSettings, PaymentSettings

CENT = 10_000_000


async def test_a_confirmed_purchase_is_in_the_wallet_and_told_once(shop: Shop) -> None:
    user = await shop.books.user()
    purchase = await shop.payments.purchase(user, shop.order())
    assert purchase.payment.state is PaymentState.COMPLETED
    assert (await shop.books.wallet(user)).available == STARTER
    intent = shop.intent(shop.provider.created[-1])
    assert (intent["amount"], intent["metadata"]["cloudyard_payment"]) == (1000, purchase.payment.id)
    await shop.event("payment_intent.succeeded", intent)
    assert await shop.heard() == ["payment.completed", "credit.purchased"]
    assert await shop.reconciler.run() == 0


async def test_a_declined_card_charges_nothing_and_is_told_once(shop: Shop) -> None:
    user = await shop.books.user()
    with pytest.raises(PaymentFailed, match="declined"):
        await shop.payments.purchase(user, shop.order(DECLINED))
    await shop.event("payment_intent.payment_failed", shop.intent(shop.provider.created[-1]))
    assert (await shop.books.wallet(user)).available == 0
    assert await shop.heard() == ["payment.failed"]
    shop.clock.advance(3700)
    await shop.reconciler.run()
    assert shop.intent(shop.provider.created[-1])["status"] == "canceled"
    assert await shop.heard() == ["payment.failed"]


async def test_an_unknown_payment_method_leaves_nothing_open(shop: Shop) -> None:
    with pytest.raises(PaymentMethodRefused):
        await shop.payments.purchase(await shop.books.user(), shop.order("pm_123"))
    assert [(row.state, row.closed) for row in (await shop.rows()).values()] == [("cancelled", True)]


@pytest.mark.parametrize("trouble", ["lost", "unanswered"])
@pytest.mark.parametrize("request_name", ["create", "confirm"])
async def test_a_broken_off_purchase_goes_on_under_its_key(shop: Shop, trouble: str, request_name: str) -> None:
    user = await shop.books.user()
    setattr(shop.provider, trouble, {request_name})
    with pytest.raises(PaymentProviderUnavailable, match="settles by itself") as caught:
        await shop.payments.purchase(user, shop.order(), key="mine")
    assert caught.value.for_operators == f"at {request_name}"
    setattr(shop.provider, trouble, set())
    again = await shop.payments.purchase(user, shop.order(), key="mine")
    assert again.payment.state is PaymentState.COMPLETED
    assert (await shop.books.wallet(user)).available == STARTER
    paid = [i for i in shop.provider.created if shop.intent(i)["status"] == "succeeded"]
    assert paid == [again.payment.provider_id]


@pytest.mark.parametrize(
    ("trouble", "request_name", "state"),
    [
        ("lost", "create", "cancelled"),
        ("unanswered", "create", "cancelled"),
        ("lost", "confirm", "cancelled"),
        ("unanswered", "confirm", "completed"),
    ],
)
async def test_the_reconciler_ends_what_was_broken_off(shop: Shop, trouble: str, request_name: str, state: str) -> None:
    user = await shop.books.user()
    setattr(shop.provider, trouble, {request_name})
    with pytest.raises(PaymentProviderUnavailable):
        await shop.payments.purchase(user, shop.order())
    assert await shop.reconciler.run() == 0
    shop.clock.advance(130)
    await shop.reconciler.run()
    assert [(row.state, row.closed) for row in (await shop.rows()).values()] == [(state, True)]
    assert (await shop.books.wallet(user)).available == (STARTER if state == "completed" else 0)
    paid = [i for i in shop.provider.created if shop.intent(i)["status"] == "succeeded"]
    assert len(paid) == (state == "completed")


async def test_the_reconciler_waits_while_stripe_is_away(shop: Shop) -> None:
    user = await shop.books.user()
    shop.provider.unanswered = {"confirm"}
    with pytest.raises(PaymentProviderUnavailable):
        await shop.payments.purchase(user, shop.order())
    shop.provider.lost = {"retrieve"}
    for _ in range(3):
        shop.clock.advance(600)
        await shop.reconciler.run()
    assert [row.state for row in (await shop.rows()).values()] == ["open"]
    shop.provider.lost = set()
    shop.clock.advance(600)
    await shop.reconciler.run()
    assert (await shop.books.wallet(user)).available == STARTER


async def test_an_authenticated_purchase_is_credited_without_any_webhook(shop: Shop) -> None:
    user = await shop.books.user()
    purchase = await shop.payments.purchase(user, shop.order(AUTHENTICATED))
    assert purchase.payment.state is PaymentState.ACTION_REQUIRED
    assert purchase.client_secret is not None
    shop.authenticate(shop.provider.created[-1])
    shop.clock.advance(130)
    await shop.reconciler.run()
    assert (await shop.books.wallet(user)).available == STARTER


async def test_a_buyer_who_never_authenticates_is_not_charged_later(shop: Shop) -> None:
    user = await shop.books.user()
    await shop.payments.purchase(user, shop.order(AUTHENTICATED))
    for _ in range(30):
        shop.clock.advance(3600)
        await shop.reconciler.run()
    assert [(row.state, row.closed) for row in (await shop.rows()).values()] == [("cancelled", True)]
    assert shop.intent(shop.provider.created[-1])["status"] == "canceled"
    assert await shop.heard() == ["payment.failed"]


async def test_money_that_comes_after_a_failure_is_credited(shop: Shop) -> None:
    user = await shop.books.user()
    await shop.payments.purchase(user, shop.order(AUTHENTICATED))
    intent = shop.intent(shop.provider.created[-1])
    await shop.event("payment_intent.payment_failed", intent | {"status": "requires_payment_method"})
    shop.authenticate(intent["id"])
    await shop.event("payment_intent.succeeded", shop.intent(intent["id"]))
    await shop.event("payment_intent.requires_action", intent)
    assert (await shop.books.wallet(user)).available == STARTER
    assert await shop.heard() == ["payment.failed", "payment.completed", "credit.purchased"]


async def test_a_card_that_is_declined_after_authentication(shop: Shop) -> None:
    user = await shop.books.user()
    purchase = await shop.payments.purchase(user, shop.order(AUTHENTICATED_DECLINED))
    shop.authenticate(shop.provider.created[-1])
    after = await shop.payments.status(user, purchase.payment.id)
    assert after.payment.state is PaymentState.FAILED


async def test_ten_confirmations_at_once_credit_once(shop: Shop) -> None:
    user = await shop.books.user()
    purchase = await shop.payments.purchase(user, shop.order(AUTHENTICATED))
    shop.authenticate(shop.provider.created[-1])
    paid = shop.intent(shop.provider.created[-1])
    tellings = [shop.event("payment_intent.succeeded", paid) for _ in range(5)]
    askings = [shop.payments.status(user, purchase.payment.id) for _ in range(5)]
    await asyncio.gather(*tellings, *askings)
    assert (await shop.books.wallet(user)).available == STARTER
    assert await shop.heard() == ["payment.completed", "credit.purchased"]


async def test_one_key_buys_one_thing(shop: Shop) -> None:
    user = await shop.books.user()
    requests = [shop.payments.purchase(user, shop.order(), key="k") for _ in range(4)]
    ids = {purchase.payment.id for purchase in await asyncio.gather(*requests)}
    assert len(ids) == 1
    with pytest.raises(IdempotencyKeyReused):
        await shop.payments.purchase(user, Order(None, 500 * CENT, VISA), key="k")
    other = await shop.books.user()
    assert (await shop.payments.purchase(other, shop.order(), key="k")).payment.id not in ids
    assert (await shop.books.wallet(user)).available == STARTER
    with pytest.raises(InvalidInput):
        await shop.payments.purchase(user, shop.order(), key="k" * 256)


@pytest.mark.parametrize("wrong", [{"amount_received": 999}, {"currency": "jpy"}])
async def test_another_amount_than_was_asked_for_is_not_credited_but_told_once(
    shop: Shop, wrong: dict[str, object]
) -> None:
    user = await shop.books.user()
    payment_id = (await shop.payments.purchase(user, shop.order(AUTHENTICATED), key="k")).payment.id
    paid = shop.intent(shop.provider.created[-1]) | {"status": "succeeded"}
    for _ in range(2):
        await shop.event("payment_intent.succeeded", paid | wrong)
    shop.authenticate(paid["id"])
    shop.clock.advance(100_000)
    assert await shop.reconciler.run() == 0
    after = (await shop.payments.status(user, payment_id)).payment
    assert (after.state, after.closed) == (PaymentState.MISMATCH, True)
    assert (await shop.books.wallet(user)).available == 0
    assert await shop.heard() == ["payment.mismatch"]
    (entry,) = await AuditLog(shop.database, shop.clock).list(subject=f"payment:{payment_id}")
    assert (entry.actor, entry.action, entry.details["provider_id"]) == (None, "payment.mismatch", paid["id"])
    with pytest.raises(PaymentMismatch, match="administrator"):
        await shop.payments.purchase(user, shop.order(AUTHENTICATED), key="k")


async def test_a_mismatch_that_is_refunded_at_stripe_moves_nothing(shop: Shop) -> None:
    user = await shop.books.user()
    await shop.payments.purchase(user, shop.order(AUTHENTICATED))
    intent = shop.provider.created[-1]
    shop.authenticate(intent)
    await shop.event("payment_intent.succeeded", shop.intent(intent) | {"amount_received": 999})
    await shop.event("charge.refunded", shop.refund(intent, 1000) | {"payment_intent": intent})
    assert await shop.missed.run() == 0
    assert await shop.heard() == ["payment.mismatch"]
    assert await shop.books.discrepancies() == []


@pytest.mark.parametrize("request_name", ["create", "confirm"])
async def test_what_stripe_refuses_ends_at_once_with_its_words(shop: Shop, request_name: str) -> None:
    user = await shop.books.user()
    shop.provider.refused = {request_name}
    with pytest.raises(PaymentRefused, match="amounts like this"):
        await shop.payments.purchase(user, shop.order(), key="k")
    (row,) = (await shop.rows()).values()
    assert (row.state, row.closed) == ("cancelled", True)
    assert "amounts like this" in row.failure
    assert [shop.intent(made)["status"] for made in shop.provider.created[-1:]] in ([], ["canceled"])
    with pytest.raises(PaymentFailed, match="amounts like this"):
        await shop.payments.purchase(user, shop.order(), key="k")


async def test_a_buyer_has_no_more_than_ten_unsettled_purchases(shop: Shop) -> None:
    user = await shop.books.user()
    shop.provider.lost = {"create"}
    requests = [shop.payments.purchase(user, shop.order(), key=f"{number}") for number in range(14)]
    outcomes = await asyncio.gather(*requests, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        *["PaymentProviderUnavailable"] * 10,
        *["TooManyOpenPurchases"] * 4,
    ]
    shop.provider.lost = set()
    with pytest.raises(TooManyOpenPurchases, match="not settled yet"):
        await shop.payments.purchase(user, shop.order())
    begun = next(f"{number}" for number, outcome in enumerate(outcomes) if type(outcome) is PaymentProviderUnavailable)
    assert (await shop.payments.purchase(user, shop.order(), key=begun)).payment.state is PaymentState.COMPLETED
    assert (await shop.payments.purchase(user, shop.order())).payment.state is PaymentState.COMPLETED
    await shop.payments.purchase(await shop.books.user(), shop.order())


@pytest.mark.parametrize("unstorable", ["\x00", "pm_\x00", "\ud800"])
async def test_text_that_no_database_holds_names_nothing(shop: Shop, unstorable: str) -> None:
    user = await shop.books.user()
    with pytest.raises(PaymentNotFound):
        await shop.payments.status(user, unstorable)
    with pytest.raises(PaymentNotFound):
        await shop.payments.details(unstorable)
    with pytest.raises(PaymentNotFound):
        await shop.refunds.refund(unstorable, actor="root", reason="Asked for")
    assert await shop.payments.list(user_id=unstorable) == ([], 0)
    with pytest.raises(InvalidInput):
        await shop.payments.purchase(user, shop.order(unstorable))


async def test_the_purchases_of_others_do_not_exist(shop: Shop) -> None:
    purchase = await shop.payments.purchase(await shop.books.user(), shop.order())
    with pytest.raises(PaymentNotFound):
        await shop.payments.status(await shop.books.user(), purchase.payment.id)


def price_list(**settings: object) -> PriceList:
    return PriceList(PaymentSettings.model_validate(settings), CreditRate())


def test_packages_come_from_the_settings() -> None:
    package = PackageSettings(name="Only", credits=50, usd=Decimal("0.75"))
    prices = price_list(packages={"only": package})
    assert [(p.id, p.value, p.cents) for p in prices.packages] == [("only", 50 * CENT, 75)]
    with pytest.raises(PackageNotFound, match="only"):
        prices.price(Order("pkg_starter", None, VISA))


@pytest.mark.parametrize("value", [0, -1, 49 * CENT, 1_000_001 * CENT, 50 * CENT + 1])
def test_amounts_that_are_not_sold(value: int) -> None:
    with pytest.raises(InvalidInput):
        price_list().price(Order(None, value, VISA))


def test_a_price_in_fractions_of_a_cent_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number of cents"):
        PackageSettings(name="Odd", credits=1, usd=Decimal("0.505"))
