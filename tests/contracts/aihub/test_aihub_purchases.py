"""Purchase Credits, against a real server of Stripe's API, and Stripe's events at the front door."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from aihub_people import STRIPE_SECRET, Person, new_person, selling, settings_for, stranger

from cloudyard.domains.billing import verify
from cloudyard.entrypoints.application import build_application
from cloudyard.testing.installation import Installation, installation
from cloudyard.testing.local_stripe import KEY, local_stripe

STARTER = {"packageId": "pkg_starter", "paymentMethodId": "pm_card_visa", "amount": 1000}
WELCOME = 1000

Buy = Callable[..., httpx2.Response]
Stripe = httpx2.Client


@pytest.fixture(scope="module")
def stripe() -> Iterator[Stripe]:
    with local_stripe() as url, httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}) as client:
        yield client


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, stripe: Stripe) -> Iterator[Installation]:
    """An installation that sells credits."""
    settings = settings_for(tmp_path_factory.mktemp("shop"), limits=False)
    with installation(selling(settings, str(stripe.base_url)), build_application) as running:
        yield running


@pytest.fixture
def buyer(shop: Installation) -> Person:
    return new_person(shop)


@pytest.fixture
def web(shop: Installation) -> Iterator[httpx2.Client]:
    with stranger(shop) as client:
        yield client


@pytest.fixture
def buy(web: httpx2.Client, buyer: Person) -> Buy:
    def send(key: str | None = None, **order: Any) -> httpx2.Response:
        headers = buyer.headers | ({"Idempotency-Key": key} if key is not None else {})
        return web.post("/api/credits/purchase", json=STARTER | order, headers=headers)

    return send


def balance(web: httpx2.Client, buyer: Person) -> Any:
    return web.get("/api/credits/balance", headers=buyer.headers).json()["data"]["balance"]


def event(shop: Installation, kind: str, about: dict[str, Any], *, age: int = 0, secret: str = STRIPE_SECRET) -> int:
    """Send an event as Stripe does; the status of the answer."""
    body = json.dumps({"id": "evt_1", "object": "event", "type": kind, "data": {"object": about}}).encode()
    signed_at = int(time.time()) - age
    signature = hmac.new(secret.encode(), b"%d.%s" % (signed_at, body), hashlib.sha256).hexdigest()
    headers = {"Stripe-Signature": f"t={signed_at},v1={signature}"}
    return httpx2.post(shop.url + "/webhooks/stripe", content=body, headers=headers).status_code


def intent_of(stripe: Stripe, purchase: dict[str, Any]) -> dict[str, Any]:
    """What Stripe holds of a purchase."""
    intents = stripe.get("/v1/payment_intents", params={"limit": "100"}).json()["data"]
    return next(intent for intent in intents if intent["metadata"]["cloudyard_payment"] == purchase["id"])


def books_are_right(shop: Installation) -> bool:
    async def check() -> bool:
        async with shop.services.database.reading() as tx:
            return await tx.run_sync(verify) == []

    return bool(shop.run(check()))


def test_what_stripe_confirms_at_once_is_in_the_balance(
    shop: Installation, web: httpx2.Client, buyer: Person, buy: Buy
) -> None:
    answer = buy()
    assert answer.status_code == 201, answer.text
    data = answer.json()["data"]
    assert (data["status"], data["credits"], data["price"]) == ("completed", 1000, 10)
    assert data["balance"] == balance(web, buyer) == WELCOME + 1000
    line = web.get("/api/credits/history", headers=buyer.headers).json()["data"][0]
    assert (line["type"], line["amount"], line["description"]) == ("purchase", 1000, "Credit purchase")
    assert books_are_right(shop)


def test_packages_are_listed(web: httpx2.Client, buyer: Person) -> None:
    packages = web.get("/api/credits/packages", headers=buyer.headers).json()["data"]
    assert packages[0] == {"id": "pkg_starter", "name": "Starter", "credits": 1000, "price": 10, "currency": "usd"}


def test_a_free_amount_costs_its_value(web: httpx2.Client, buyer: Person, buy: Buy) -> None:
    answer = buy(packageId=None, amount=123)
    assert answer.json()["data"]["price"] == 1.23
    assert balance(web, buyer) == WELCOME + 123


@pytest.mark.parametrize(
    ("order", "status", "field"),
    [
        ({"amount": -1000}, 422, "amount"),
        ({"amount": 999}, 422, "amount"),
        ({"packageId": None, "amount": 1}, 422, "amount"),
        ({"packageId": None, "amount": 100.5}, 422, "amount"),
        ({"packageId": None, "amount": 1e-30}, 422, "amount"),
        ({"packageId": None, "amount": None}, 422, "packageId"),
        ({"packageId": "no-such-package"}, 404, "packageId"),
        ({"paymentMethodId": ""}, 422, "paymentMethodId"),
        ({"paymentMethodId": "visa"}, 422, "paymentMethodId"),
        ({"paymentMethodId": "pm_\u00ed"}, 422, "paymentMethodId"),
        ({"paymentMethodId": "pm_\u0000"}, 422, "paymentMethodId"),
        ({"paymentMethodId": "pm_123"}, 422, "paymentMethodId"),
        ({"paymentMethodId": "pm_card_chargeCustomerFail"}, 402, "paymentMethodId"),
    ],
)
def test_bad_orders_are_refused_and_cost_nothing(
    web: httpx2.Client, buyer: Person, buy: Buy, order: dict[str, Any], status: int, field: str
) -> None:
    answer = buy(**order)
    assert answer.status_code == status, answer.text
    assert [detail["field"] for detail in answer.json()["error"]["details"]] == [field]
    assert balance(web, buyer) == WELCOME


def test_a_declined_card_has_a_code_of_its_own(buy: Buy) -> None:
    answer = buy(paymentMethodId="pm_card_chargeCustomerFail")
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "PAYMENT_FAILED")


def test_an_eleventh_unsettled_purchase_is_refused(web: httpx2.Client, buyer: Person, buy: Buy) -> None:
    for _ in range(10):
        assert buy(paymentMethodId="pm_card_authenticationRequired").status_code == 202
    answer = buy()
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "RESOURCE_CONFLICT")
    assert "not settled yet" in answer.json()["error"]["message"]
    assert balance(web, buyer) == WELCOME


def test_another_amount_than_was_asked_for_is_a_mismatch(
    shop: Installation, stripe: Stripe, web: httpx2.Client, buyer: Person, buy: Buy
) -> None:
    purchase = buy(paymentMethodId="pm_card_authenticationRequired").json()["data"]
    wrong = intent_of(stripe, purchase) | {"status": "succeeded", "amount_received": 999}
    assert event(shop, "payment_intent.succeeded", wrong) == 200
    asked = web.get(f"/api/credits/purchases/{purchase['id']}", headers=buyer.headers).json()["data"]
    assert asked["status"] == "mismatch"
    assert "Nothing was credited" in asked["message"]
    assert balance(web, buyer) == WELCOME


def test_an_id_that_no_database_holds_is_unknown(web: httpx2.Client, buyer: Person) -> None:
    assert web.get("/api/credits/purchases/%00", headers=buyer.headers).status_code == 404


def test_the_same_key_buys_once(web: httpx2.Client, buyer: Person, buy: Buy) -> None:
    first, again = buy("one"), buy("one")
    assert first.json()["data"]["id"] == again.json()["data"]["id"]
    assert buy("one", packageId=None, amount=500).status_code == 422
    assert balance(web, buyer) == WELCOME + 1000


def test_a_payment_that_wants_authentication_says_what_to_do(
    shop: Installation, stripe: Stripe, web: httpx2.Client, buyer: Person, buy: Buy
) -> None:
    answer = buy(paymentMethodId="pm_card_authenticationRequired")
    assert answer.status_code == 202
    purchase = answer.json()["data"]
    assert purchase["status"] == "requires_action"
    assert "handleNextAction" in purchase["message"]
    assert balance(web, buyer) == WELCOME

    intent = intent_of(stripe, purchase)
    assert purchase["clientSecret"] == intent["client_secret"]
    done = {"client_secret": purchase["clientSecret"], "success": "true"}
    assert stripe.post(f"/v1/payment_intents/{intent['id']}/_authenticate", data=done).status_code == 200
    asked = web.get(f"/api/credits/purchases/{purchase['id']}", headers=buyer.headers).json()["data"]
    assert asked["status"] == "completed"
    assert asked["clientSecret"] is None
    assert event(shop, "payment_intent.succeeded", intent_of(stripe, purchase)) == 200
    assert balance(web, buyer) == WELCOME + 1000


def test_authentication_that_fails_ends_the_purchase(
    shop: Installation, stripe: Stripe, web: httpx2.Client, buyer: Person, buy: Buy
) -> None:
    purchase = buy(paymentMethodId="pm_card_authenticationRequired").json()["data"]
    intent = intent_of(stripe, purchase)
    refused = {"client_secret": purchase["clientSecret"], "success": "false"}
    stripe.post(f"/v1/payment_intents/{intent['id']}/_authenticate", data=refused)
    assert event(shop, "payment_intent.payment_failed", intent_of(stripe, purchase)) == 200
    asked = web.get(f"/api/credits/purchases/{purchase['id']}", headers=buyer.headers).json()["data"]
    assert asked["status"] == "failed"
    assert "failed authentication" in asked["message"]
    assert balance(web, buyer) == WELCOME


def test_a_refund_takes_the_credits_back_once(
    shop: Installation, stripe: Stripe, web: httpx2.Client, buyer: Person, buy: Buy
) -> None:
    purchase = buy().json()["data"]
    charge = intent_of(stripe, purchase)["latest_charge"]["id"]
    stripe.post("/v1/refunds", data={"charge": charge, "amount": "400"})
    refunded = stripe.get(f"/v1/charges/{charge}").json()
    for _ in range(2):
        assert event(shop, "charge.refunded", refunded) == 200
    assert balance(web, buyer) == WELCOME + 600
    assert books_are_right(shop)


def test_the_purchases_of_others_are_not_told(shop: Installation, web: httpx2.Client, buy: Buy) -> None:
    path = f"/api/credits/purchases/{buy().json()['data']['id']}"
    assert web.get(path, headers=new_person(shop).headers).status_code == 404


def test_forged_and_late_events_are_refused(
    shop: Installation, stripe: Stripe, web: httpx2.Client, buyer: Person, buy: Buy
) -> None:
    purchase = buy(paymentMethodId="pm_card_authenticationRequired").json()["data"]
    paid = intent_of(stripe, purchase) | {"status": "succeeded"}
    assert event(shop, "payment_intent.succeeded", paid, secret="whsec_other") == 400
    assert event(shop, "payment_intent.succeeded", paid, age=301) == 400
    assert httpx2.post(shop.url + "/webhooks/stripe", json={"type": "payment_intent.succeeded"}).status_code == 400
    assert balance(web, buyer) == WELCOME


def test_events_of_no_concern_are_taken_and_forgotten(shop: Installation) -> None:
    assert event(shop, "customer.created", {"id": "cus_1"}) == 200
    foreign = {"id": "pi_foreign", "status": "succeeded", "amount": 1000, "currency": "usd"}
    assert event(shop, "payment_intent.succeeded", foreign) == 200


def test_without_a_key_nothing_is_sold(client: httpx2.Client, ann: Person) -> None:
    answer = client.post("/api/credits/purchase", json=STARTER, headers=ann.headers)
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert error["code"] == "SERVICE_UNAVAILABLE"
    assert "payments.stripe_key" in error["message"]
