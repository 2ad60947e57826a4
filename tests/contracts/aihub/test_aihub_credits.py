"""Credit Endpoints and the adjustment by administrators."""

import concurrent.futures
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from aihub_people import Person
from sqlalchemy import delete

from cloudyard.domains.ledger import verify_ledger
from cloudyard.foundation.durable.idempotency import idempotency_keys
from cloudyard.testing.installation import Installation
from cloudyard.testing.spending import set_aside

Join = Callable[[], Person]
Adjust = Callable[..., httpx2.Response]

GIFT: dict[str, Any] = {"amount": 500, "reason": "Promotional credit", "type": "bonus"}


@pytest.fixture
def adjust(client: httpx2.Client, admin: Person) -> Adjust:
    """Adjusts somebody's credits as the administrator."""

    def send(to: str, *, by: Person = admin, key: str | None = None, **change: Any) -> httpx2.Response:
        headers = by.headers | ({"Idempotency-Key": key} if key is not None else {})
        return client.post(f"/api/admin/users/{to}/credits/adjust", json=GIFT | change, headers=headers)

    return send


def balance(client: httpx2.Client, of: Person) -> Any:
    return client.get("/api/credits/balance", headers=of.headers).json()["data"]["balance"]


def history(client: httpx2.Client, of: Person, query: str = "") -> dict[str, Any]:
    answer = client.get("/api/credits/history" + query, headers=of.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def error(answer: httpx2.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["error"]
    return found


def test_the_balance(client: httpx2.Client, onlooker: Person) -> None:
    data = client.get("/api/credits/balance", headers=onlooker.headers).json()["data"]
    assert set(data) == {"userId", "balance", "held", "currency", "lastUpdated"}
    assert (data["userId"], data["balance"], data["held"], data["currency"]) == (onlooker.id, 1000, 0, "credits")


def test_credits_in_use_are_held_and_not_in_the_balance(
    aihub_server: Installation, client: httpx2.Client, ann: Person
) -> None:
    aihub_server.run(set_aside(aihub_server.services, ann.id, "0.025"))
    data = client.get("/api/credits/balance", headers=ann.headers).json()["data"]
    assert (data["balance"], data["held"]) == (997.5, 2.5)


def test_a_new_history_has_the_welcome_credits(client: httpx2.Client, onlooker: Person) -> None:
    found = history(client, onlooker)
    assert found["pagination"] == {
        "page": 1,
        "limit": 20,
        "total": 1,
        "totalPages": 1,
        "hasNext": False,
        "hasPrev": False,
    }
    (line,) = found["data"]
    assert set(line) == {"id", "type", "amount", "balance", "description", "createdAt"}
    assert (line["type"], line["amount"], line["balance"]) == ("bonus", 1000, 1000)


def test_pages_of_the_history(client: httpx2.Client, ann: Person, adjust: Adjust) -> None:
    for number in range(1, 5):
        assert adjust(ann.id, amount=number).status_code == 200
    pages = [history(client, ann, f"?page={page}&limit=2") for page in (1, 2, 3, 4)]
    assert [[line["amount"] for line in page["data"]] for page in pages] == [[4, 3], [2, 1], [1000], []]
    assert [page["data"][0]["balance"] for page in pages[:3]] == [1010, 1003, 1000]
    assert [page["pagination"]["hasNext"] for page in pages] == [True, True, False, False]
    assert [page["pagination"]["hasPrev"] for page in pages] == [False, True, True, True]
    assert {(page["pagination"]["total"], page["pagination"]["totalPages"]) for page in pages} == {(5, 3)}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?page=-1", "page"),
        ("?page=0", "page"),
        ("?page=one", "page"),
        ("?page=99999999999999999999", "page"),
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?limit=1000000", "limit"),
        ("?limit=1.5", "limit"),
        ("?type=hold", "type"),
        ("?type=", "type"),
        ("?since=yesterday", "since"),
        ("?since=2026-02-30", "since"),
        ("?since=2026-02-03T10:00:00", "since"),
        ("?since=0001-01-01T00:00:00%2B01:00", "since"),
        ("?until=", "until"),
        ("?sort=amount", "sort"),
    ],
)
def test_bad_paging_is_refused(client: httpx2.Client, onlooker: Person, query: str, field: str) -> None:
    answer = client.get("/api/credits/history" + query, headers=onlooker.headers)
    assert answer.status_code == 422
    assert error(answer)["code"] == "VALIDATION_ERROR"
    assert [detail["field"] for detail in error(answer)["details"]] == [field]


def test_the_history_by_type_period_and_order(client: httpx2.Client, ann: Person, adjust: Adjust) -> None:
    for number in (1, 2, 3):
        assert adjust(ann.id, amount=number, type="adjustment").status_code == 200
    oldest, *_, newest = history(client, ann, "?sort=createdAt")["data"]
    assert (oldest["type"], oldest["amount"], newest["amount"]) == ("bonus", 1000, 3)
    of_a_kind = history(client, ann, "?type=adjustment&limit=2&page=2")
    assert [line["amount"] for line in of_a_kind["data"]] == [1]
    assert (of_a_kind["pagination"]["total"], of_a_kind["pagination"]["totalPages"]) == (3, 2)
    assert history(client, ann, "?type=purchase")["pagination"]["total"] == 0
    for period, total in (
        (f"?since={oldest['createdAt'][:10]}&until=9999-12-31", 4),
        (f"?since={oldest['createdAt']}", 4),
        (f"?until={oldest['createdAt']}", 0),
        (f"?since={oldest['createdAt']}&type=bonus", 1),
        ("?since=9999-12-31T23:59:59Z", 0),
        ("?until=0001-01-01", 0),
        ("?since=2000-01-01&until=1999-01-01", 0),
    ):
        assert history(client, ann, period)["pagination"]["total"] == total, period


def test_nobody_sees_the_history_of_another(client: httpx2.Client, ann: Person, adjust: Adjust, join: Join) -> None:
    adjust(ann.id, reason="Only for Ann")
    bob = join()
    assert "Only for Ann" not in client.get("/api/credits/history", headers=bob.headers).text
    assert balance(client, bob) == 1000


def test_an_adjustment_adds_credits(client: httpx2.Client, ann: Person, adjust: Adjust) -> None:
    answer = adjust(ann.id)
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert data.pop("transactionId")
    assert data == {
        "userId": ann.id,
        "amount": 500,
        "type": "bonus",
        "reason": "Promotional credit",
        "balance": 1500,
        "currency": "credits",
    }
    assert balance(client, ann) == 1500
    newest = history(client, ann)["data"][0]
    assert (newest["type"], newest["amount"], newest["balance"]) == ("bonus", 500, 1500)
    assert newest["description"] == "Promotional credit"


def test_an_adjustment_takes_credits(client: httpx2.Client, ann: Person, adjust: Adjust) -> None:
    answer = adjust(ann.id, amount=-1000, type="adjustment", reason="Paid out")
    assert (answer.status_code, answer.json()["data"]["balance"]) == (200, 0)
    newest = history(client, ann)["data"][0]
    assert (newest["type"], newest["amount"], newest["balance"]) == ("adjustment", -1000, 0)


def test_parts_of_credits_are_exact(client: httpx2.Client, ann: Person, adjust: Adjust) -> None:
    for _ in range(3):
        assert adjust(ann.id, amount=0.1).status_code == 200
    assert adjust(ann.id, amount=-0.3, type="adjustment").json()["data"]["balance"] == 1000
    assert adjust(ann.id, amount=0.0000001).json()["data"]["balance"] == 1000.0000001


def test_the_type_may_be_left_out(client: httpx2.Client, ann: Person, admin: Person) -> None:
    body = {"amount": 1, "reason": "Set right"}
    answer = client.post(f"/api/admin/users/{ann.id}/credits/adjust", json=body, headers=admin.headers)
    assert answer.json()["data"]["type"] == "adjustment"


def test_the_acting_administrator_is_on_record(
    aihub_server: Installation, ann: Person, admin: Person, adjust: Adjust
) -> None:
    adjust(ann.id, reason="For the record")
    entries = aihub_server.run(aihub_server.services.audit.list(subject=f"user:{ann.id}", action="ledger.adjusted"))
    (entry,) = entries
    assert entry.actor == admin.id
    assert entry.details["reason"] == "For the record"


def test_below_zero_is_refused_with_a_clear_error(client: httpx2.Client, onlooker: Person, adjust: Adjust) -> None:
    answer = adjust(onlooker.id, amount=-1000.5, type="adjustment")
    assert answer.status_code == 409
    assert error(answer)["code"] == "RESOURCE_CONFLICT"
    assert "has 1000 credits" in error(answer)["message"]
    assert [detail["field"] for detail in error(answer)["details"]] == ["amount"]
    assert balance(client, onlooker) == 1000
    assert history(client, onlooker)["pagination"]["total"] == 1


def test_the_ledger_still_verifies(aihub_server: Installation, ann: Person, adjust: Adjust) -> None:
    adjust(ann.id)
    adjust(ann.id, amount=-7.25, type="adjustment")

    async def verify() -> Any:
        async with aihub_server.services.database.reading() as tx:
            return await tx.run_sync(verify_ledger)

    assert list(aihub_server.run(verify())) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": "lots"}, "amount"),
        ({"amount": "500"}, "amount"),
        ({"amount": None}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": [1]}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": 1e-9}, "amount"),
        ({"amount": 1e300}, "amount"),
        ({"amount": 10**60}, "amount"),
        ({"amount": -(10**18)}, "amount"),
        ({"reason": ""}, "reason"),
        ({"reason": "   "}, "reason"),
        ({"reason": 5}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "nul\x00"}, "reason"),
        ({"type": "gift"}, "type"),
        ({"type": 1}, "type"),
        ({"type": None}, "type"),
    ],
)
def test_a_bad_adjustment_names_the_field_and_changes_nothing(
    client: httpx2.Client, onlooker: Person, adjust: Adjust, change: dict[str, Any], field: str
) -> None:
    answer = adjust(onlooker.id, **change)
    assert answer.status_code == 422, answer.text
    assert error(answer)["code"] == "VALIDATION_ERROR"
    assert [detail["field"] for detail in error(answer)["details"]] == [field]
    assert balance(client, onlooker) == 1000


def test_missing_fields_are_named(client: httpx2.Client, onlooker: Person, admin: Person) -> None:
    answer = client.post(f"/api/admin/users/{onlooker.id}/credits/adjust", json={}, headers=admin.headers)
    assert answer.status_code == 422
    assert [detail["field"] for detail in error(answer)["details"]] == ["amount", "reason"]


@pytest.mark.parametrize("user_id", ["00000000-0000-0000-0000-000000000000", "nobody", "%00", "a" * 2000])
def test_an_unknown_user_is_not_found(adjust: Adjust, user_id: str) -> None:
    answer = adjust(user_id)
    assert (answer.status_code, error(answer)["code"]) == (404, "RESOURCE_NOT_FOUND")


def test_a_user_may_not_adjust_even_the_own_credits(client: httpx2.Client, onlooker: Person, adjust: Adjust) -> None:
    for user_id in (onlooker.id, "nobody"):
        answer = adjust(user_id, by=onlooker)
        assert (answer.status_code, error(answer)["code"]) == (403, "AUTHORIZATION_FAILED")
    assert balance(client, onlooker) == 1000
    anonymous = client.post(f"/api/admin/users/{onlooker.id}/credits/adjust", json=GIFT)
    assert (anonymous.status_code, error(anonymous)["code"]) == (401, "AUTHENTICATION_FAILED")


def test_a_narrow_key_of_an_administrator_may_not_adjust(
    aihub_server: Installation, client: httpx2.Client, ann: Person, admin: Person
) -> None:
    keys = aihub_server.services.api_keys
    _, narrow = aihub_server.run(keys.create(admin.id, name="narrow", scopes=["wallet", "account"]))
    _, wide = aihub_server.run(keys.create(admin.id, name="wide"))
    path = f"/api/admin/users/{ann.id}/credits/adjust"
    assert client.post(path, json=GIFT, headers={"X-API-Key": narrow}).status_code == 403
    assert balance(client, ann) == 1000
    assert client.post(path, json=GIFT, headers={"X-API-Key": wide}).status_code == 200


def test_the_same_key_and_body_adjust_once(client: httpx2.Client, ann: Person, adjust: Adjust) -> None:
    first, again = adjust(ann.id, key="k-1"), adjust(ann.id, key="k-1")
    assert first.status_code == again.status_code == 200
    assert again.json()["data"] == first.json()["data"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert balance(client, ann) == 1500


def test_a_kept_answer_that_was_lost_does_not_adjust_again(
    aihub_server: Installation, client: httpx2.Client, ann: Person, adjust: Adjust
) -> None:
    async def lose() -> None:
        async with aihub_server.services.database.transaction() as tx:
            await tx.execute(delete(idempotency_keys).where(idempotency_keys.c.key == "lost"))

    first = adjust(ann.id, key="lost")
    aihub_server.run(lose())
    again = adjust(ann.id, key="lost")
    assert again.json()["data"]["transactionId"] == first.json()["data"]["transactionId"]
    assert balance(client, ann) == 1500


def test_a_key_does_not_work_for_another_body_or_user(
    client: httpx2.Client, ann: Person, adjust: Adjust, join: Join
) -> None:
    bob = join()
    adjust(ann.id, key="k-2")
    for refused in (adjust(ann.id, key="k-2", amount=501), adjust(bob.id, key="k-2")):
        assert (refused.status_code, error(refused)["code"]) == (422, "VALIDATION_ERROR")
    assert (balance(client, ann), balance(client, bob)) == (1500, 1000)


def test_a_refused_adjustment_gives_its_key_back(ann: Person, adjust: Adjust, client: httpx2.Client) -> None:
    assert adjust(ann.id, key="k-3", amount=-5000, type="adjustment").status_code == 409
    assert adjust(ann.id, amount=4000).status_code == 200
    assert adjust(ann.id, key="k-3", amount=-5000, type="adjustment").status_code == 200
    assert balance(client, ann) == 0


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_impossible_key_is_refused(client: httpx2.Client, onlooker: Person, adjust: Adjust, key: str) -> None:
    answer = adjust(onlooker.id, key=key)
    assert answer.status_code == 422
    assert [detail["field"] for detail in error(answer)["details"]] == ["Idempotency-Key"]
    assert balance(client, onlooker) == 1000


def test_parallel_takings_never_go_below_zero(client: httpx2.Client, ann: Person, adjust: Adjust) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: adjust(ann.id, amount=-300, type="adjustment").status_code, range(8)))
    assert sorted(answers) == [200] * 3 + [409] * 5
    assert balance(client, ann) == 100
