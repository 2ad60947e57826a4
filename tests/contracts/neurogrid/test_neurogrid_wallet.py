"""The wallet of the document, in dollars."""

from typing import Any

import httpx2
import pytest
from neurogrid_people import Person, error

from cloudyard.testing.installation import Installation
from cloudyard.testing.spending import set_aside, spend


def wallet(client: httpx2.Client, of: Person) -> dict[str, Any]:
    answer = client.get("/api/wallet", headers=of.headers)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def transactions(client: httpx2.Client, of: Person, query: str = "") -> dict[str, Any]:
    answer = client.get("/api/wallet/transactions" + query, headers=of.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_wallet_is_in_dollars(client: httpx2.Client, ann: Person, neurogrid_server: Installation) -> None:
    found = wallet(client, ann)
    assert found.pop("updated_at")
    assert found == {"balance": 10, "held": 0, "earnings": 0, "currency": "USD", "credits": 1000}
    neurogrid_server.run(spend(neurogrid_server.services, ann.id, "0.125", of="0.50"))
    neurogrid_server.run(set_aside(neurogrid_server.services, ann.id, "2"))
    found = wallet(client, ann)
    assert (found["balance"], found["held"], found["credits"]) == (7.875, 2, 787.5)


def test_transactions_have_the_paginated_shape(
    client: httpx2.Client, ann: Person, neurogrid_server: Installation
) -> None:
    neurogrid_server.run(spend(neurogrid_server.services, ann.id, "0.125", of="0.50"))
    found = transactions(client, ann)
    assert found["pagination"] == {"page": 1, "limit": 20, "total": 2, "pages": 1}
    newest, first = found["data"]
    assert newest.pop("id") != first.pop("id")
    assert newest.pop("created_at") >= first.pop("created_at")
    assert newest == {
        "type": "usage",
        "amount": -0.125,
        "balance": 9.875,
        "currency": "USD",
        "credits": -12.5,
        "description": "A task",
    }
    assert (first["type"], first["amount"], first["credits"]) == ("bonus", 10, 1000)


def test_pages_of_transactions(client: httpx2.Client, ann: Person, neurogrid_server: Installation) -> None:
    for cents in range(1, 5):
        neurogrid_server.run(spend(neurogrid_server.services, ann.id, f"0.0{cents}", of="1"))
    pages = [transactions(client, ann, f"?page={page}&limit=2") for page in (1, 2, 3, 4)]
    assert [[line["amount"] for line in page["data"]] for page in pages] == [[-0.04, -0.03], [-0.02, -0.01], [10], []]
    assert [page["pagination"] for page in pages] == [
        {"page": page, "limit": 2, "total": 5, "pages": 3} for page in (1, 2, 3, 4)
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?page=-1", "page"),
        ("?page=0", "page"),
        ("?page=x", "page"),
        ("?page=99999999999999999999", "page"),
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?limit=1000000", "limit"),
    ],
)
def test_bad_paging_is_refused(client: httpx2.Client, onlooker: Person, query: str, field: str) -> None:
    answer = client.get("/api/wallet/transactions" + query, headers=onlooker.headers)
    assert (answer.status_code, set(error(answer)["details"])) == (400, {field})


def test_everybody_sees_the_own_wallet_only(
    client: httpx2.Client, ann: Person, onlooker: Person, neurogrid_server: Installation
) -> None:
    neurogrid_server.run(spend(neurogrid_server.services, ann.id, "1", of="1"))
    assert wallet(client, onlooker)["balance"] == 10
    assert transactions(client, onlooker)["pagination"]["total"] == 1


@pytest.mark.parametrize("path", ["/api/wallet", "/api/wallet/transactions", "/api/users/api-keys"])
def test_private_routes_need_a_credential(client: httpx2.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, error(answer)["error"]) == (401, "authentication_required")


@pytest.mark.parametrize("path", ["/api/wallet", "/api/wallet/transactions", "/api/users/api-keys"])
def test_all_three_ways_of_authentication_work(
    client: httpx2.Client, neurogrid_server: Installation, onlooker: Person, path: str
) -> None:
    _, secret = neurogrid_server.run(neurogrid_server.services.api_keys.create(onlooker.id, name="k"))
    for headers in (onlooker.headers, onlooker.cookie, {"X-API-Key": secret}):
        assert client.get(path, headers=headers).status_code == 200
