"""Authentication and User Management of pynode.md."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx2
import pytest

from cloudyard.testing.installation import Installation

PASSWORD = "Correct horse 7!"
Account = dict[str, Any]


def is_moment(value: Any) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None


def test_registration_answers_user_and_tokens_and_gives_the_welcome_credits(
    client: httpx2.Client, pynode_server: Installation
) -> None:
    body = {"email": "New.User@Example.com", "password": PASSWORD, "name": "John Doe"}
    answer = client.post("/api/auth/register", json=body)
    assert answer.status_code == 200
    found = answer.json()
    assert found.keys() >= {"user", "access_token", "refresh_token"}
    assert found["user"].keys() == {"id", "email", "name", "created_at"}
    assert (found["user"]["email"], found["user"]["name"]) == ("new.user@example.com", "John Doe")
    assert is_moment(found["user"]["created_at"])
    services = pynode_server.services
    wallet = pynode_server.run(services.ledger.wallet(found["user"]["id"]))
    assert wallet.available == services.credit_rate.nanos(1000)


def test_login_answers_the_union_of_both_forms_in_the_document(client: httpx2.Client, ann: Account) -> None:
    answer = client.post("/api/auth/login", json={"email": ann["user"]["email"], "password": PASSWORD})
    assert answer.status_code == 200
    found = answer.json()
    assert found["user"] == {"id": ann["user"]["id"], "email": ann["user"]["email"], "name": "John Doe"}
    assert found["token_type"] == "Bearer"
    assert found["expires_in"] == 3600
    for token in (found["access_token"], found["refresh_token"]):
        assert len(token.split(".")) == 3


def test_refresh_gives_new_tokens_and_a_token_that_comes_again_ends_the_session(
    client: httpx2.Client, ann: Account
) -> None:
    first = client.post("/api/auth/refresh", json={"refresh_token": ann["refresh_token"]})
    assert first.status_code == 200
    assert first.json()["expires_in"] == 3600
    fresh = {"Authorization": f"Bearer {first.json()['access_token']}"}
    assert client.get("/api/users/me", headers=fresh).status_code == 200
    again = client.post("/api/auth/refresh", json={"refresh_token": ann["refresh_token"]})
    assert (again.status_code, again.json()["code"]) == (401, "REFRESH_TOKEN_REUSED")
    assert client.get("/api/users/me", headers=fresh).status_code == 401


def test_logout_takes_effect_at_once(client: httpx2.Client, ann: Account) -> None:
    answer = client.post("/api/auth/logout", headers=ann["auth"])
    assert (answer.status_code, answer.json()) == (200, {"message": "Successfully logged out"})
    assert client.get("/api/users/me", headers=ann["auth"]).status_code == 401
    assert client.post("/api/auth/refresh", json={"refresh_token": ann["refresh_token"]}).status_code == 401


def test_an_api_key_has_no_session_to_end(client: httpx2.Client, ann: Account, pynode_server: Installation) -> None:
    _, secret = pynode_server.run(pynode_server.services.api_keys.create(ann["user"]["id"], name="k"))
    headers = {"Authorization": f"Bearer {secret}"}
    assert client.get("/api/users/me", headers=headers).status_code == 200
    assert client.post("/api/auth/logout", headers=headers).status_code == 400


def test_the_profile_is_the_callers_own(client: httpx2.Client, ann: Account) -> None:
    found = client.get("/api/users/me", headers=ann["auth"]).json()
    assert found.keys() == {"id", "email", "name", "created_at", "updated_at"}
    assert found["id"] == ann["user"]["id"]
    assert is_moment(found["updated_at"])


def test_the_profile_can_be_changed(client: httpx2.Client, ann: Account) -> None:
    email = "changed-" + ann["user"]["email"]
    answer = client.put("/api/users/me", headers=ann["auth"], json={"name": "John Smith", "email": email})
    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["email"]) == ("John Smith", email)
    assert client.get("/api/users/me", headers=ann["auth"]).json()["email"] == email
    only_name = client.put("/api/users/me", headers=ann["auth"], json={"name": "J"})
    assert (only_name.json()["name"], only_name.json()["email"]) == ("J", email)


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/api/auth/register", {"email": "not-an-email", "password": PASSWORD, "name": "x"}, "email"),
        ("POST", "/api/auth/register", {"email": "a@example.com", "password": "short", "name": "x"}, "password"),
        ("POST", "/api/auth/register", {"email": "a@example.com", "name": "x"}, "password"),
        ("POST", "/api/auth/login", {"email": 42, "password": True}, "email"),
        ("POST", "/api/auth/login", [], "body"),
        ("POST", "/api/auth/refresh", {"refresh_token": None}, "refresh_token"),
    ],
)
def test_what_is_wrong_with_a_request_is_told_by_field(
    client: httpx2.Client, method: str, path: str, body: Any, field: str
) -> None:
    answer = client.request(method, path, json=body)
    assert answer.status_code == 400
    found = answer.json()
    assert (found["error"], found["code"]) == ("Bad Request", "INVALID_PARAMETERS")
    assert found["details"]["field"] == field
    assert found["details"]["reason"]


@pytest.mark.parametrize(
    ("body", "field"), [({"email": "not-an-email"}, "email"), ({"name": {"first": "John"}}, "name")]
)
def test_a_bad_profile_changes_nothing(client: httpx2.Client, ann: Account, body: Any, field: str) -> None:
    answer = client.put("/api/users/me", headers=ann["auth"], json=body)
    assert (answer.status_code, answer.json()["details"]["field"]) == (400, field)
    assert client.get("/api/users/me", headers=ann["auth"]).json()["email"] == ann["user"]["email"]


def test_a_taken_address_is_a_bad_request_with_a_code_of_its_own(
    client: httpx2.Client, ann: Account, join: Callable[[], Account]
) -> None:
    body = {"email": ann["user"]["email"].upper(), "password": PASSWORD, "name": "Twin"}
    taken = client.post("/api/auth/register", json=body)
    assert (taken.status_code, taken.json()["code"]) == (400, "EMAIL_TAKEN")
    bob = join()
    moved = client.put("/api/users/me", headers=bob["auth"], json={"email": ann["user"]["email"]})
    assert (moved.status_code, moved.json()["code"]) == (400, "EMAIL_TAKEN")


def test_a_wrong_password_and_an_unknown_address_are_told_alike(client: httpx2.Client, ann: Account) -> None:
    wrong = client.post("/api/auth/login", json={"email": ann["user"]["email"], "password": "not-" + PASSWORD})
    unknown = client.post("/api/auth/login", json={"email": "nobody@example.com", "password": PASSWORD})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()
    assert wrong.json()["error"] == "Unauthorized"


def test_routes_of_the_account_need_somebody(client: httpx2.Client, ann: Account) -> None:
    missing = client.get("/api/users/me")
    assert missing.status_code == 401
    assert missing.json()["code"] == "AUTHENTICATION_REQUIRED"
    assert missing.json()["message"].startswith("Authentication required")
    unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJ4In0."
    for token in ("garbage", ann["refresh_token"], unsigned):
        answer = client.get("/api/users/me", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["error"]) == (401, "Unauthorized")
    answer = client.post("/api/auth/refresh", json={"refresh_token": ann["access_token"]})
    assert answer.status_code == 401


def test_a_key_without_the_scope_is_forbidden(client: httpx2.Client, ann: Account, pynode_server: Installation) -> None:
    create = pynode_server.services.api_keys.create
    _, secret = pynode_server.run(create(ann["user"]["id"], name="k", scopes=["inference"]))
    answer = client.get("/api/users/me", headers={"X-API-Key": secret})
    assert answer.status_code == 403
    assert (answer.json()["error"], answer.json()["code"]) == ("Forbidden", "INSUFFICIENT_PERMISSIONS")
    assert client.get("/api/files", headers={"X-API-Key": secret}).status_code == 403
    assert client.get("/api/chat/history", headers={"X-API-Key": secret}).status_code == 200
