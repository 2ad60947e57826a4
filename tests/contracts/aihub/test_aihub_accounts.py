"""Authentication and User Endpoints of the document."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from aihub_people import PASSWORD, Person, stranger

from cloudyard.domains.identity import UserStatus
from cloudyard.testing.bad_tokens import KINDS, bad_tokens
from cloudyard.testing.installation import Installation

Join = Callable[[], Person]

ACCOUNT = {
    "id": str,
    "email": str,
    "firstName": str,
    "lastName": str,
    "role": str,
    "emailVerified": bool,
    "createdAt": str,
}


def types_of(value: dict[str, Any]) -> dict[str, type]:
    return {name: type(inner) for name, inner in value.items()}


def problem(answer: httpx2.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()
    assert found["success"] is False
    assert set(found) == {"success", "error", "meta"}
    error: dict[str, Any] = found["error"]
    return error


def fields(answer: httpx2.Response) -> set[str]:
    return {detail["field"] for detail in problem(answer)["details"]}


def test_registration_opens_an_account(client: httpx2.Client) -> None:
    body = {"email": "New.Person@Example.com", "password": PASSWORD, "firstName": "John", "lastName": "Doe"}
    answer = client.post("/api/auth/register", json=body)
    assert answer.status_code == 201
    user = answer.json()["data"]["user"]
    assert types_of(user) == ACCOUNT
    shown = {name: user[name] for name in ("email", "firstName", "lastName", "role", "emailVerified")}
    assert shown == {
        "email": "new.person@example.com",
        "firstName": "John",
        "lastName": "Doe",
        "role": "user",
        "emailVerified": False,
    }
    assert PASSWORD not in answer.text


def test_names_are_no_condition_of_an_account(client: httpx2.Client) -> None:
    answer = client.post("/api/auth/register", json={"email": "nameless@example.com", "password": PASSWORD})
    assert answer.status_code == 201
    assert (answer.json()["data"]["user"]["firstName"], answer.json()["data"]["user"]["lastName"]) == ("", "")


def test_the_new_account_is_paid_for_at_once(ann: Person, client: httpx2.Client) -> None:
    assert client.get("/api/credits/balance", headers=ann.headers).json()["data"]["balance"] == 1000


def test_login_answers_user_and_tokens(onlooker: Person, client: httpx2.Client) -> None:
    answer = client.post("/api/auth/login", json={"email": onlooker.email, "password": PASSWORD})
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert set(data) == {"user", "tokens"}
    assert types_of(data["user"]) == ACCOUNT
    assert types_of(data["tokens"]) == {"accessToken": str, "refreshToken": str, "expiresIn": int}
    assert data["tokens"]["expiresIn"] == 3600
    assert data["tokens"]["accessToken"].count(".") == 2


def test_a_taken_address_is_a_conflict(onlooker: Person, client: httpx2.Client) -> None:
    answer = client.post("/api/auth/register", json={"email": onlooker.email.upper(), "password": PASSWORD})
    assert answer.status_code == 409
    assert problem(answer)["code"] == "RESOURCE_CONFLICT"
    assert fields(answer) == {"email"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "not-an-email"}, "email"),
        ({"email": 42}, "email"),
        ({"email": None}, "email"),
        ({"email": "nul\x00@example.com"}, "email"),
        ({"email": "a" * 300 + "@example.com"}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 257}, "password"),
        ({"password": True}, "password"),
        ({"password": "with\x00control"}, "password"),
        ({"firstName": 42}, "firstName"),
        ({"firstName": "x" * 101}, "firstName"),
        ({"lastName": ["Doe"]}, "lastName"),
        ({"lastName": "bell\x07"}, "lastName"),
    ],
)
def test_a_bad_registration_names_the_field(client: httpx2.Client, change: dict[str, Any], field: str) -> None:
    body = {"email": "bad@example.com", "password": PASSWORD, "firstName": "John", "lastName": "Doe"}
    answer = client.post("/api/auth/register", json=body | change)
    assert answer.status_code == 422
    assert problem(answer)["code"] == "VALIDATION_ERROR"
    assert fields(answer) == {field}
    assert "_name" not in answer.text


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("/api/auth/register", {"email", "password"}),
        ("/api/auth/login", {"email", "password"}),
        ("/api/auth/refresh", {"refreshToken"}),
    ],
)
def test_missing_fields_are_named_all_together(client: httpx2.Client, path: str, missing: set[str]) -> None:
    answer = client.post(path, json={})
    assert answer.status_code == 422
    assert fields(answer) == missing


@pytest.mark.parametrize("password", ["wrong", "", "x" * 5000, PASSWORD.upper(), PASSWORD + " "])
def test_a_wrong_password_and_an_unknown_user_cannot_be_told_apart(
    onlooker: Person, client: httpx2.Client, password: str
) -> None:
    wrong = client.post("/api/auth/login", json={"email": onlooker.email, "password": password})
    unknown = client.post("/api/auth/login", json={"email": "nobody@example.com", "password": password})
    assert wrong.status_code == unknown.status_code == 401
    assert problem(wrong) == problem(unknown)
    assert problem(wrong)["code"] == "AUTHENTICATION_FAILED"


@pytest.mark.parametrize("email", ["", "nul\x00@example.com", "' OR 1=1 --", "%"])
def test_a_login_with_an_impossible_address_is_a_wrong_one(client: httpx2.Client, email: str) -> None:
    answer = client.post("/api/auth/login", json={"email": email, "password": PASSWORD})
    assert answer.status_code == 401


def test_refresh_gives_new_tokens_and_uses_the_old_one_up(ann: Person, client: httpx2.Client) -> None:
    answer = client.post("/api/auth/refresh", json={"refreshToken": ann.refresh_token})
    assert answer.status_code == 200
    tokens = answer.json()["data"]["tokens"]
    assert types_of(tokens) == {"accessToken": str, "refreshToken": str, "expiresIn": int}
    fresh = {"Authorization": f"Bearer {tokens['accessToken']}"}
    assert client.get("/api/users/me", headers=fresh).json()["data"]["id"] == ann.id
    again = client.post("/api/auth/refresh", json={"refreshToken": ann.refresh_token})
    assert (again.status_code, problem(again)["code"]) == (401, "AUTHENTICATION_FAILED")
    assert client.get("/api/users/me", headers=fresh).status_code == 401


@pytest.mark.parametrize("token", ["garbage", "", "a.b.c", "x" * 10_000])
def test_a_bad_refresh_token_is_refused(client: httpx2.Client, token: str) -> None:
    answer = client.post("/api/auth/refresh", json={"refreshToken": token})
    assert (answer.status_code, problem(answer)["code"]) == (401, "AUTHENTICATION_FAILED")


def test_an_access_token_refreshes_nothing(onlooker: Person, client: httpx2.Client) -> None:
    answer = client.post("/api/auth/refresh", json={"refreshToken": onlooker.access_token})
    assert answer.status_code == 401
    assert client.get("/api/users/me", headers=onlooker.headers).status_code == 200


def test_logout_ends_the_session_at_once(ann: Person, client: httpx2.Client) -> None:
    answer = client.post("/api/auth/logout", headers=ann.headers)
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert client.get("/api/users/me", headers=ann.headers).status_code == 401
    assert client.post("/api/auth/refresh", json={"refreshToken": ann.refresh_token}).status_code == 401
    assert client.post("/api/auth/logout", headers=ann.headers).status_code == 401


def test_logout_leaves_other_sessions_alone(ann: Person, client: httpx2.Client) -> None:
    other = client.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD}).json()["data"]["tokens"]
    client.post("/api/auth/logout", headers=ann.headers)
    headers = {"Authorization": f"Bearer {other['accessToken']}"}
    assert client.get("/api/users/me", headers=headers).status_code == 200


def test_logout_without_a_session_is_refused(
    aihub_server: Installation, onlooker: Person, client: httpx2.Client
) -> None:
    assert client.post("/api/auth/logout").status_code == 401
    _, secret = aihub_server.run(aihub_server.services.api_keys.create(onlooker.id, name="k"))
    answer = client.post("/api/auth/logout", headers={"X-API-Key": secret})
    assert (answer.status_code, problem(answer)["code"]) == (422, "VALIDATION_ERROR")
    assert "API key has no session" in problem(answer)["message"]


def test_the_current_user(onlooker: Person, client: httpx2.Client) -> None:
    answer = client.get("/api/users/me", headers=onlooker.headers)
    assert answer.status_code == 200
    user = answer.json()["data"]
    untold = {"phone": type(None), "timezone": type(None), "language": type(None)}
    assert types_of(user) == {**ACCOUNT, **untold, "updatedAt": str}
    assert (user["id"], user["email"], user["firstName"]) == (onlooker.id, onlooker.email, "John")


@pytest.mark.parametrize("path", ["/api/users/me", "/api/credits/balance", "/api/credits/history"])
def test_private_routes_need_a_credential(client: httpx2.Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, problem(answer)["code"]) == (401, "AUTHENTICATION_FAILED")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_token_is_refused(aihub_server: Installation, onlooker: Person, client: httpx2.Client, kind: str) -> None:
    bad = aihub_server.run(bad_tokens(aihub_server.services, onlooker.access_token, onlooker.refresh_token))[kind]
    answer = client.get("/api/users/me", headers={"Authorization": f"Bearer {bad}"})
    assert (answer.status_code, problem(answer)["code"]) == (401, "AUTHENTICATION_FAILED")
    assert client.get("/api/users/me", headers=onlooker.headers).status_code == 200


def test_an_api_key_works_as_far_as_its_scopes_reach(
    aihub_server: Installation, onlooker: Person, client: httpx2.Client
) -> None:
    keys = aihub_server.services.api_keys
    _, narrow = aihub_server.run(keys.create(onlooker.id, name="narrow", scopes=["wallet"]))
    assert client.get("/api/credits/balance", headers={"X-API-Key": narrow}).status_code == 200
    assert client.get("/api/credits/history", headers={"Authorization": f"Bearer {narrow}"}).status_code == 200
    refused = client.get("/api/users/me", headers={"X-API-Key": narrow})
    assert (refused.status_code, problem(refused)["code"]) == (403, "AUTHORIZATION_FAILED")


def test_a_suspended_user_is_shut_out(aihub_server: Installation, ann: Person) -> None:
    aihub_server.run(aihub_server.services.users.set_status(ann.id, UserStatus.SUSPENDED))
    with stranger(aihub_server) as client:
        assert client.get("/api/users/me", headers=ann.headers).status_code in (401, 403)
        answer = client.post("/api/auth/login", json={"email": ann.email, "password": PASSWORD})
    assert (answer.status_code, problem(answer)["code"]) == (403, "AUTHORIZATION_FAILED")
