"""Payments as administrators see them, and refunds of them, against a real server of Stripe's API."""

import concurrent.futures
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from aihub_people import Person, new_person, selling, settings_for, stranger

from cloudyard.domains.billing import verify
from cloudyard.domains.identity import Role
from cloudyard.domains.payments import verify_payments
from cloudyard.entrypoints.application import build_application
from cloudyard.testing.installation import Installation, installation
from cloudyard.testing.local_stripe import KEY, local_stripe

STARTER = {"packageId": "pkg_starter", "paymentMethodId": "pm_card_visa"}
WELCOME = 1000
PAYMENT = {
    "id",
    "userId",
    "status",
    "packageId",
    "credits",
    "price",
    "refunded",
    "disputed",
    "currency",
    "providerId",
    "failure",
    "createdAt",
}

Refund = Callable[..., httpx2.Response]


@pytest.fixture(scope="module")
def stripe() -> Iterator[httpx2.Client]:
    with local_stripe() as url, httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}) as client:
        yield client


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, stripe: httpx2.Client) -> Iterator[Installation]:
    """An installation that sells credits."""
    settings = settings_for(tmp_path_factory.mktemp("refunds"), limits=False)
    with installation(selling(settings, str(stripe.base_url)), build_application) as running:
        yield running


@pytest.fixture(scope="module")
def chief(shop: Installation) -> Person:
    """An administrator of the shop."""
    person = new_person(shop)
    shop.run(shop.services.users.set_role(person.id, Role.ADMIN))
    return person


@pytest.fixture
def buyer(shop: Installation) -> Person:
    return new_person(shop)


@pytest.fixture
def web(shop: Installation) -> Iterator[httpx2.Client]:
    with stranger(shop) as client:
        yield client


@pytest.fixture
def bought(web: httpx2.Client, buyer: Person) -> str:
    """The id of a purchase for ten dollars."""
    answer = web.post("/api/credits/purchase", json=STARTER, headers=buyer.headers)
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["data"]["id"]
    return found


@pytest.fixture
def refund(web: httpx2.Client, chief: Person) -> Refund:
    def send(payment_id: str, *, by: Person = chief, key: str | None = None, **order: Any) -> httpx2.Response:
        headers = by.headers | ({"Idempotency-Key": key} if key is not None else {})
        body = {"reason": "The customer asked"} | order
        return web.post(f"/api/admin/payments/{payment_id}/refund", json=body, headers=headers)

    return send


def details(web: httpx2.Client, chief: Person, payment_id: str) -> dict[str, Any]:
    answer = web.get(f"/api/admin/payments/{payment_id}", headers=chief.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def balance(web: httpx2.Client, buyer: Person) -> Any:
    return web.get("/api/credits/balance", headers=buyer.headers).json()["data"]["balance"]


def books_are_right(shop: Installation) -> bool:
    async def check() -> bool:
        async with shop.services.database.reading() as tx:
            return not await tx.run_sync(verify) and not await tx.run_sync(verify_payments)

    return bool(shop.run(check()))


def test_a_refund_in_part_and_of_the_rest(
    shop: Installation, web: httpx2.Client, chief: Person, buyer: Person, bought: str, refund: Refund
) -> None:
    answer = refund(bought, usd=2.5)
    assert answer.status_code == 201, answer.text
    data = answer.json()["data"]
    assert data["paymentId"] == bought
    assert (data["status"], data["usd"], data["credits"], data["uncoveredCredits"]) == ("completed", 2.5, 250, 0)
    assert (data["reason"], data["requestedBy"], data["failure"]) == ("The customer asked", chief.id, None)
    assert balance(web, buyer) == WELCOME + 750
    assert refund(bought).json()["data"]["usd"] == 7.5
    assert balance(web, buyer) == WELCOME
    found = details(web, chief, bought)
    assert (found["price"], found["refunded"], found["disputed"]) == (10, 10, 0)
    assert [each["usd"] for each in found["refunds"]] == [7.5, 2.5]
    assert books_are_right(shop)


def test_credits_that_were_spent_are_told_apart(
    web: httpx2.Client, chief: Person, buyer: Person, bought: str, refund: Refund
) -> None:
    body = {"amount": -1700, "reason": "Spent"}
    assert web.post(f"/api/admin/users/{buyer.id}/credits/adjust", json=body, headers=chief.headers).status_code == 200
    data = refund(bought).json()["data"]
    assert (data["credits"], data["uncoveredCredits"]) == (300, 700)
    assert balance(web, buyer) == 0


def test_ids_that_no_database_holds_are_unknown(web: httpx2.Client, chief: Person, refund: Refund) -> None:
    assert web.get("/api/admin/payments/%00", headers=chief.headers).status_code == 404
    assert refund("%00").status_code == 404
    none = web.get("/api/admin/payments", params={"userId": "\0"}, headers=chief.headers)
    assert (none.status_code, none.json()["data"]) == (200, [])


def test_mismatches_are_listed_apart(web: httpx2.Client, chief: Person, bought: str) -> None:
    found = web.get("/api/admin/payments", params={"status": "mismatch"}, headers=chief.headers)
    assert found.status_code == 200
    assert bought not in [each["id"] for each in found.json()["data"]]


def test_more_than_is_left_is_refused(web: httpx2.Client, buyer: Person, bought: str, refund: Refund) -> None:
    assert refund(bought, usd=6).status_code == 201
    answer = refund(bought, usd=4.01)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "RESOURCE_CONFLICT")
    assert "$4.00 of the $10.00" in answer.json()["error"]["message"]
    assert balance(web, buyer) == WELCOME + 400


def test_refunds_at_once_give_back_no_more_than_was_paid(
    shop: Installation, web: httpx2.Client, buyer: Person, bought: str, refund: Refund
) -> None:
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: refund(bought, usd=3).status_code, range(6)))
    assert sorted(answers) == [201] * 3 + [409] * 3
    assert balance(web, buyer) == WELCOME + 100
    assert books_are_right(shop)


def test_the_same_key_refunds_once(web: httpx2.Client, buyer: Person, bought: str, refund: Refund) -> None:
    first, again = refund(bought, usd=1, key="one"), refund(bought, usd=1, key="one")
    assert first.json()["data"] == again.json()["data"]
    other = refund(bought, usd=2, key="one")
    assert (other.status_code, other.json()["error"]["details"][0]["field"]) == (422, "Idempotency-Key")
    assert balance(web, buyer) == WELCOME + 900


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"usd": 0}, "usd"),
        ({"usd": -1}, "usd"),
        ({"usd": 0.001}, "usd"),
        ({"usd": 1e-30}, "usd"),
        ({"usd": "1"}, "usd"),
        ({"usd": True}, "usd"),
        ({"reason": ""}, "reason"),
        ({"reason": "nul\x00"}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason": "x" * 501}, "reason"),
    ],
)
def test_bad_orders_name_the_field(
    web: httpx2.Client, buyer: Person, bought: str, refund: Refund, order: dict[str, Any], field: str
) -> None:
    answer = refund(bought, **order)
    assert answer.status_code == 422, answer.text
    assert [detail["field"] for detail in answer.json()["error"]["details"]] == [field]
    assert balance(web, buyer) == WELCOME + 1000


def test_much_more_than_any_payment_is_refused(bought: str, refund: Refund) -> None:
    assert refund(bought, usd=10**15).status_code == 409
    assert refund(bought, usd=10**60).status_code == 422


@pytest.mark.parametrize("payment_id", ["nobody", "%00", "a" * 500])
def test_an_unknown_payment_is_not_found(web: httpx2.Client, chief: Person, refund: Refund, payment_id: str) -> None:
    assert refund(payment_id).status_code == 404
    assert web.get(f"/api/admin/payments/{payment_id}", headers=chief.headers).status_code == 404


def test_a_payment_that_was_not_received_cannot_be_refunded(
    web: httpx2.Client, chief: Person, buyer: Person, refund: Refund
) -> None:
    order = STARTER | {"paymentMethodId": "pm_card_authenticationRequired"}
    waiting = web.post("/api/credits/purchase", json=order, headers=buyer.headers).json()["data"]
    answer = refund(waiting["id"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "RESOURCE_CONFLICT")
    assert details(web, chief, waiting["id"])["status"] == "requires_action"


def test_the_list_has_filters_and_pages(
    web: httpx2.Client, chief: Person, buyer: Person, bought: str, refund: Refund
) -> None:
    declined = STARTER | {"paymentMethodId": "pm_card_chargeCustomerFail"}
    assert web.post("/api/credits/purchase", json=declined, headers=buyer.headers).status_code == 402
    refund(bought, usd=4)

    def listed(**query: Any) -> Any:
        answer = web.get("/api/admin/payments", params={"userId": buyer.id} | query, headers=chief.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    found = listed()
    assert all(set(payment) == PAYMENT for payment in found["data"])
    assert [payment["status"] for payment in found["data"]] == ["failed", "completed"]
    assert found["pagination"]["total"] == 2
    assert [payment["refunded"] for payment in listed(status="completed")["data"]] == [4]
    assert listed(status="cancelled")["data"] == []
    assert [payment["id"] for payment in listed(page=2, limit=1)["data"]] == [bought]
    everything = web.get("/api/admin/payments", headers=chief.headers).json()
    assert everything["pagination"]["total"] >= 2
    assert web.get("/api/admin/payments?status=paid", headers=chief.headers).status_code == 422


def test_only_administrators_see_and_refund(web: httpx2.Client, buyer: Person, bought: str, refund: Refund) -> None:
    assert refund(bought, by=buyer).status_code == 403
    for path in ("", f"/{bought}"):
        assert web.get(f"/api/admin/payments{path}", headers=buyer.headers).status_code == 403
        assert web.get(f"/api/admin/payments{path}").status_code == 401
    assert balance(web, buyer) == WELCOME + 1000


def test_without_a_key_it_says_what_to_set(client: httpx2.Client, admin: Person) -> None:
    answer = client.post("/api/admin/payments/any/refund", json={"reason": "Why"}, headers=admin.headers)
    assert answer.status_code == 503
    assert "payments.stripe_key" in answer.json()["error"]["message"]
    assert client.get("/api/admin/payments", headers=admin.headers).json()["data"] == []
