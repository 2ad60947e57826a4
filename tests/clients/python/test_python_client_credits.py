"""Credits: balance, history in pages, purchases at a real server of Stripe's API."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from client_people import Connect, Person
from smartaihub import NotFoundError, PaymentFailedError, ValidationError
from twins import Client, done, everything

from cloudyard.testing.installation import Installation

WELCOME = 1000


async def give(cloud: Installation, person: Person, amount: int) -> None:
    ledger, rate = cloud.services.ledger, cloud.services.credit_rate
    cloud.run(ledger.adjust(person.id, rate.nanos(Decimal(amount)), reason=f"gift of {amount}", actor=None))


async def test_the_balance_is_exact(anns: Client, ann: Person, cloud: Installation) -> None:
    ledger = cloud.services.ledger
    cloud.run(ledger.adjust(ann.id, 1, reason="a nano-dollar", actor=None))
    balance = await done(anns.credits.balance())
    assert balance.balance == Decimal("1000.0000001")
    assert (balance.user_id, balance.held, balance.currency) == (ann.id, 0, "credits")


async def test_the_history_is_read_over_all_pages(anns: Client, ann: Person, cloud: Installation) -> None:
    for amount in range(1, 6):
        await give(cloud, ann, amount)
    lines = await everything(anns.credits.history(limit=2))
    assert [line.amount for line in lines] == [5, 4, 3, 2, 1, WELCOME]
    assert lines[0].balance == WELCOME + 15
    assert lines[0].description == "gift of 5"


async def test_pages_can_be_asked_for_one_by_one(anns: Client, ann: Person, cloud: Installation) -> None:
    for amount in range(1, 5):
        await give(cloud, ann, amount)
    history = anns.credits.history(limit=2)
    page = await done(history.page(2))
    assert [line.amount for line in page.items] == [2, 1]
    assert (page.pagination.total, page.pagination.total_pages) == (5, 3)
    assert page.pagination.has_next
    assert page.pagination.has_prev
    later = await everything(history.pages(2))
    assert [len(each.items) for each in later] == [2, 1]
    assert (await done(history.page(99))).items == []


async def test_the_history_is_filtered(anns: Client, ann: Person, cloud: Installation) -> None:
    for amount in (1, 2):
        await give(cloud, ann, amount)
    adjustments = await everything(anns.credits.history(type="adjustment", sort="createdAt"))
    assert [line.amount for line in adjustments] == [1, 2]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert len(await everything(anns.credits.history(since=tomorrow.date() - timedelta(days=3), until=tomorrow))) == 3
    assert await everything(anns.credits.history(since=tomorrow)) == []


async def test_a_page_that_cannot_be_is_refused(anns: Client) -> None:
    with pytest.raises(ValidationError) as refused:
        await everything(anns.credits.history(limit=-1))
    assert refused.value.fields.keys() == {"limit"}


async def test_a_package_is_bought(anns: Client) -> None:
    package = (await done(anns.credits.packages()))[0]
    assert (package.id, package.credits, package.price, package.currency) == ("pkg_starter", 1000, 10, "usd")
    bought = await done(anns.credits.purchase(package_id=package.id, payment_method_id="pm_card_visa"))
    assert (bought.status, bought.credits, bought.price) == ("completed", 1000, 10)
    assert bought.balance == WELCOME + 1000
    assert (await done(anns.credits.get_purchase(bought.id))).status == "completed"
    line = (await everything(anns.credits.history()))[0]
    assert (line.type, line.amount) == ("purchase", 1000)


async def test_an_amount_is_bought_once_for_its_key(anns: Client) -> None:
    order: dict[str, Any] = {"amount": Decimal(500), "payment_method_id": "pm_card_visa", "idempotency_key": "order-1"}
    first = await done(anns.credits.purchase(**order))
    again = await done(anns.credits.purchase(**order))
    assert (first.id, first.credits) == (again.id, 500)
    assert (await done(anns.credits.balance())).balance == WELCOME + 500


async def test_a_payment_that_needs_the_buyer_says_so(anns: Client) -> None:
    bought = await done(anns.credits.purchase(amount=500, payment_method_id="pm_card_authenticationRequired"))
    assert bought.status == "requires_action"
    assert bought.client_secret
    assert bought.client_secret not in repr(bought)


async def test_a_declined_card_costs_nothing(anns: Client) -> None:
    with pytest.raises(PaymentFailedError) as declined:
        await done(anns.credits.purchase(amount=500, payment_method_id="pm_card_chargeCustomerFail"))
    assert declined.value.status == 402
    assert (await done(anns.credits.balance())).balance == WELCOME


async def test_someone_elses_purchase_is_not_found(anns: Client, connect: Connect, admin: Person) -> None:
    bought = await done(anns.credits.purchase(amount=500, payment_method_id="pm_card_visa"))
    other = await connect(tokens=admin.tokens)
    with pytest.raises(NotFoundError):
        await done(other.credits.get_purchase(bought.id))


async def test_an_amount_that_json_cannot_keep_is_refused(anns: Client) -> None:
    fine = Decimal("0.12345678901234567890")
    with pytest.raises(ValueError, match="digits"):
        await done(anns.credits.purchase(amount=fine, payment_method_id="pm_card_visa"))
