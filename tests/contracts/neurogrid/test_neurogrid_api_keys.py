"""API keys of the document: `nk_` and 32 hexadecimal digits, shown once."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from neurogrid_people import Person, error

from cloudyard.testing.installation import Installation

Join = Callable[[], Person]

SHOWN = {
    "id",
    "name",
    "prefix",
    "scopes",
    "expires_at",
    "allowed_models",
    "spend_cap",
    "requests_per_minute",
    "tokens_per_minute",
    "created_at",
    "last_used_at",
}


def create(client: httpx2.Client, by: Person, **wanted: Any) -> dict[str, Any]:
    answer = client.post("/api/users/api-keys", json={"name": "k", **wanted}, headers=by.headers)
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def listed(client: httpx2.Client, of: Person) -> list[dict[str, Any]]:
    answer = client.get("/api/users/api-keys", headers=of.headers)
    assert answer.status_code == 200
    keys: list[dict[str, Any]] = answer.json()["data"]
    return keys


def test_a_key_is_shown_once(client: httpx2.Client, ann: Person) -> None:
    made = create(client, ann, name="My server")
    assert set(made) == SHOWN | {"key"}
    assert re.fullmatch(r"nk_[0-9a-f]{32}", made["key"])
    assert made["key"].startswith(made["prefix"])
    (found,) = listed(client, ann)
    assert set(found) == SHOWN
    assert (found["id"], found["name"]) == (made["id"], "My server")
    assert made["key"] not in client.get("/api/users/api-keys", headers=ann.headers).text


def test_what_is_left_out_is_not_limited(client: httpx2.Client, ann: Person) -> None:
    made = create(client, ann)
    limits = ("scopes", "expires_at", "allowed_models", "spend_cap", "requests_per_minute", "tokens_per_minute")
    assert {made[name] for name in limits} == {None}


def test_every_limit_is_kept(client: httpx2.Client, ann: Person) -> None:
    wanted = {
        "scopes": ["inference", "wallet"],
        "allowed_models": ["llama-2-7b"],
        "expires_at": "2099-01-31T13:00:00+01:00",
        "spend_cap": 12.345678901,
        "requests_per_minute": 60,
        "tokens_per_minute": 100_000,
    }
    create(client, ann, **wanted)
    (found,) = listed(client, ann)
    assert {name: found[name] for name in wanted} == wanted | {"expires_at": "2099-01-31T12:00:00.000Z"}


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
def test_a_key_opens_what_its_user_may(client: httpx2.Client, ann: Person, header: str) -> None:
    secret = create(client, ann)["key"]
    headers = {header: f"Bearer {secret}" if header == "Authorization" else secret}
    wallet = client.get("/api/wallet", headers=headers)
    assert (wallet.status_code, wallet.json()["data"]["credits"]) == (200, 1000)


def test_a_key_is_bound_by_its_scopes(client: httpx2.Client, ann: Person) -> None:
    headers = {"X-API-Key": create(client, ann, scopes=["inference"])["key"]}
    for method, path in (("GET", "/api/wallet"), ("GET", "/api/wallet/transactions"), ("GET", "/api/users/api-keys")):
        answer = client.request(method, path, headers=headers)
        assert (answer.status_code, error(answer)["error"]) == (403, "scope_missing")


def test_a_key_is_bound_by_its_rate(client: httpx2.Client, ann: Person) -> None:
    headers = {"X-API-Key": create(client, ann, requests_per_minute=2)["key"]}
    answers = [client.get("/api/wallet", headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert error(answers[2])["details"]["limit"] == 2
    assert int(answers[2].headers["retry-after"]) >= 1


def test_a_key_can_make_no_key_that_may_do_more(client: httpx2.Client, ann: Person) -> None:
    def make(by: str, **wanted: Any) -> httpx2.Response:
        return client.post("/api/users/api-keys", json={"name": "child", **wanted}, headers={"X-API-Key": by})

    narrow = create(client, ann, scopes=["account", "wallet"])["key"]
    assert make(narrow, scopes=["wallet"]).status_code == 201
    capped = create(client, ann, spend_cap=1)["key"]
    for answer in (make(narrow), make(narrow, scopes=["inference"]), make(capped, spend_cap=1)):
        assert (answer.status_code, error(answer)["error"]) == (403, "scope_missing")


def test_nobody_but_an_administrator_gets_a_key_to_administer(client: httpx2.Client, ann: Person) -> None:
    answer = client.post("/api/users/api-keys", json={"name": "k", "scopes": ["admin"]}, headers=ann.headers)
    assert (answer.status_code, error(answer)["error"]) == (403, "scope_missing")
    assert listed(client, ann) == []


def test_an_expired_key_is_refused(client: httpx2.Client, ann: Person) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    secret = create(client, ann, expires_at=soon.isoformat())["key"]
    while datetime.now(UTC) <= soon:
        time.sleep(0.05)
    answer = client.get("/api/wallet", headers={"X-API-Key": secret})
    assert (answer.status_code, error(answer)["error"]) == (401, "token_expired")


def test_a_revoked_key_fails_at_once(client: httpx2.Client, ann: Person) -> None:
    made = create(client, ann)
    headers = {"X-API-Key": made["key"]}
    assert client.get("/api/wallet", headers=headers).status_code == 200
    answer = client.delete(f"/api/users/api-keys/{made['id']}", headers=ann.headers)
    assert (answer.status_code, answer.json()["data"]["id"]) == (200, made["id"])
    assert client.get("/api/wallet", headers=headers).status_code == 401
    assert listed(client, ann) == []
    again = client.delete(f"/api/users/api-keys/{made['id']}", headers=ann.headers)
    assert (again.status_code, error(again)["error"]) == (404, "api_key_not_found")


def test_a_revocation_that_is_sent_again_with_its_key_gets_its_answer_again(client: httpx2.Client, ann: Person) -> None:
    path = f"/api/users/api-keys/{create(client, ann)['id']}"
    headers = ann.headers | {"Idempotency-Key": "once"}
    first, again = client.delete(path, headers=headers), client.delete(path, headers=headers)
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert (first.status_code, again.headers["idempotency-replayed"]) == (200, "true")


def test_a_secret_is_not_kept_for_a_second_request(client: httpx2.Client, ann: Person) -> None:
    headers = ann.headers | {"Idempotency-Key": "twice"}
    secrets = {
        client.post("/api/users/api-keys", json={"name": "k"}, headers=headers).json()["data"]["key"] for _ in range(2)
    }
    assert len(secrets) == len(listed(client, ann)) == 2


def test_the_key_of_another_is_not_there(client: httpx2.Client, ann: Person, join: Join) -> None:
    made = create(client, ann)
    bob = join()
    answer = client.delete(f"/api/users/api-keys/{made['id']}", headers=bob.headers)
    assert (answer.status_code, error(answer)["error"]) == (404, "api_key_not_found")
    assert listed(client, bob) == []
    assert client.get("/api/wallet", headers={"X-API-Key": made["key"]}).status_code == 200


@pytest.mark.parametrize("key_id", ["00000000-0000-0000-0000-000000000000", "%00", "a" * 2000, "%E2%98%83"])
def test_an_unknown_key_is_not_found(client: httpx2.Client, onlooker: Person, key_id: str) -> None:
    answer = client.delete(f"/api/users/api-keys/{key_id}", headers=onlooker.headers)
    assert (answer.status_code, error(answer)["error"]) == (404, "api_key_not_found")


def test_there_are_at_most_a_hundred_keys(client: httpx2.Client, neurogrid_server: Installation, ann: Person) -> None:
    async def fill() -> None:
        for number in range(100):
            await neurogrid_server.services.api_keys.create(ann.id, name=f"k{number}")

    neurogrid_server.run(fill())
    answer = client.post("/api/users/api-keys", json={"name": "one too many"}, headers=ann.headers)
    assert (answer.status_code, error(answer)["error"]) == (409, "too_many_api_keys")


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"name": 42}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "nul\x00"}, "name"),
        ({"scopes": "wallet"}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"scopes": [1]}, "scopes.0"),
        ({"allowed_models": [""]}, "allowed_models"),
        ({"allowed_models": ["x"] * 3 + [f"m{n}" for n in range(100)]}, "allowed_models"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "2099-01-31"}, "expires_at"),
        ({"expires_at": "2099-01-31T12:00:00"}, "expires_at"),
        ({"expires_at": "2001-01-31T12:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"expires_at": 4_073_500_800}, "expires_at"),
        ({"spend_cap": -1}, "spend_cap"),
        ({"spend_cap": "10"}, "spend_cap"),
        ({"spend_cap": True}, "spend_cap"),
        ({"spend_cap": 1e300}, "spend_cap"),
        ({"spend_cap": 1e-10}, "spend_cap"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"requests_per_minute": 1.5}, "requests_per_minute"),
        ({"requests_per_minute": "60"}, "requests_per_minute"),
        ({"requests_per_minute": 10**30}, "requests_per_minute"),
        ({"tokens_per_minute": -5}, "tokens_per_minute"),
        ({"tokens_per_minute": True}, "tokens_per_minute"),
    ],
)
def test_a_bad_wish_names_the_field_and_makes_no_key(
    client: httpx2.Client, ann: Person, wanted: dict[str, Any], field: str
) -> None:
    answer = client.post("/api/users/api-keys", json={"name": "k", **wanted}, headers=ann.headers)
    assert answer.status_code == 400, answer.text
    assert set(error(answer)["details"]) == {field}
    assert listed(client, ann) == []


def test_a_key_needs_a_name(client: httpx2.Client, onlooker: Person) -> None:
    answer = client.post("/api/users/api-keys", json={}, headers=onlooker.headers)
    assert (answer.status_code, set(error(answer)["details"])) == (400, {"name"})
