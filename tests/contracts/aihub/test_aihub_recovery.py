"""Forgotten, reset and changed passwords, and the profile (Authentication and User Endpoints of the document)."""

from typing import Any

import httpx2
import pytest
from aihub_mail import mailed_token
from aihub_people import PASSWORD, Person, stranger

from cloudyard.testing.installation import Installation

NEW_PASSWORD = "newSecurePassword123"
PROFILE = {
    "firstName": "Johnny",
    "lastName": "Doe-Smith",
    "phone": "+1234567890",
    "timezone": "America/New_York",
    "language": "en",
}


def error(answer: httpx2.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()
    assert found["success"] is False
    problem: dict[str, Any] = found["error"]
    return problem


def fields(answer: httpx2.Response) -> list[str]:
    return [detail["field"] for detail in error(answer)["details"]]


def log_in(client: httpx2.Client, email: str, password: str) -> httpx2.Response:
    return client.post("/api/auth/login", json={"email": email, "password": password})


def test_a_forgotten_password_is_reset_by_mail(aihub_server: Installation, client: httpx2.Client, ann: Person) -> None:
    asked = client.post("/api/auth/forgot-password", json={"email": ann.email})
    assert (asked.status_code, asked.json()["success"]) == (200, True)
    reset = {"token": mailed_token(aihub_server, ann.email), "newPassword": NEW_PASSWORD}
    answer = client.post("/api/auth/reset-password", json=reset)
    assert (answer.status_code, answer.json()["success"]) == (200, True)
    assert log_in(client, ann.email, NEW_PASSWORD).status_code == 200
    assert log_in(client, ann.email, PASSWORD).status_code == 401
    assert client.get("/api/users/me", headers=ann.headers).status_code == 401
    again = client.post("/api/auth/reset-password", json=reset)
    assert (again.status_code, error(again)["code"], fields(again)) == (422, "VALIDATION_ERROR", ["token"])


def test_nothing_tells_whether_an_account_exists(client: httpx2.Client, onlooker: Person) -> None:
    known = client.post("/api/auth/forgot-password", json={"email": onlooker.email})
    unknown = client.post("/api/auth/forgot-password", json={"email": "nobody-at-all@example.com"})
    assert known.status_code == unknown.status_code == 200
    assert known.json()["data"] == unknown.json()["data"]


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/api/auth/forgot-password", {}, ["email"]),
        ("/api/auth/forgot-password", {"email": 42}, ["email"]),
        ("/api/auth/forgot-password", {"email": "not-an-email"}, ["email"]),
        ("/api/auth/reset-password", {}, ["token", "newPassword"]),
        ("/api/auth/reset-password", {"token": "garbage", "newPassword": NEW_PASSWORD}, ["token"]),
        ("/api/auth/reset-password", {"token": "nul\x00", "newPassword": NEW_PASSWORD}, ["token"]),
    ],
)
def test_bad_recoveries_name_the_field(
    client: httpx2.Client, path: str, body: dict[str, Any], named: list[str]
) -> None:
    answer = client.post(path, json=body)
    assert (answer.status_code, error(answer)["code"], fields(answer)) == (422, "VALIDATION_ERROR", named)


def test_a_weak_new_password_leaves_the_link_good(
    aihub_server: Installation, client: httpx2.Client, ann: Person
) -> None:
    client.post("/api/auth/forgot-password", json={"email": ann.email})
    token = mailed_token(aihub_server, ann.email)
    weak = client.post("/api/auth/reset-password", json={"token": token, "newPassword": "short"})
    assert (weak.status_code, error(weak)["code"], fields(weak)) == (422, "VALIDATION_ERROR", ["newPassword"])
    strong = client.post("/api/auth/reset-password", json={"token": token, "newPassword": NEW_PASSWORD})
    assert strong.status_code == 200


def test_the_profile_is_updated_and_read_back(client: httpx2.Client, ann: Person) -> None:
    answer = client.put("/api/users/me", json=PROFILE, headers=ann.headers)
    assert answer.status_code == 200
    shown = client.get("/api/users/me", headers=ann.headers).json()["data"]
    assert answer.json()["data"] == shown
    assert {name: shown[name] for name in PROFILE} == PROFILE
    assert (shown["id"], shown["email"], shown["role"]) == (ann.id, ann.email, "user")


def test_what_is_left_out_of_an_update_stays(client: httpx2.Client, ann: Person) -> None:
    client.put("/api/users/me", json=PROFILE, headers=ann.headers)
    answer = client.put("/api/users/me", json={"firstName": "Jo", "phone": None, "language": ""}, headers=ann.headers)
    shown = answer.json()["data"]
    assert {name: shown[name] for name in PROFILE} == PROFILE | {"firstName": "Jo", "language": shown["language"]}
    assert not shown["language"]


def test_nobody_becomes_an_administrator_by_an_update(client: httpx2.Client, ann: Person) -> None:
    body = {"firstName": "Eve", "role": "admin", "credits": 10**6, "emailVerified": True}
    shown = client.put("/api/users/me", json=body, headers=ann.headers).json()["data"]
    assert (shown["role"], shown["emailVerified"]) == ("user", False)
    assert client.get("/api/credits/balance", headers=ann.headers).json()["data"]["balance"] == 1000


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"firstName": 42}, "firstName"),
        ({"lastName": "x" * 101}, "lastName"),
        ({"phone": "call me"}, "phone"),
        ({"timezone": "half past nine"}, "timezone"),
        ({"language": "not a language"}, "language"),
    ],
)
def test_a_bad_profile_names_the_field_and_changes_nothing(
    client: httpx2.Client, ann: Person, change: dict[str, Any], field: str
) -> None:
    answer = client.put("/api/users/me", json=PROFILE | change, headers=ann.headers)
    assert (answer.status_code, error(answer)["code"], fields(answer)) == (422, "VALIDATION_ERROR", [field])
    assert client.get("/api/users/me", headers=ann.headers).json()["data"]["firstName"] == "John"


def test_the_password_is_changed_and_only_this_session_goes_on(
    aihub_server: Installation, client: httpx2.Client, ann: Person
) -> None:
    other = log_in(client, ann.email, PASSWORD).json()["data"]["tokens"]["accessToken"]
    body = {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}
    assert client.put("/api/users/me/password", json=body, headers=ann.headers).status_code == 200
    assert client.get("/api/users/me", headers=ann.headers).status_code == 200
    assert client.get("/api/users/me", headers={"Authorization": f"Bearer {other}"}).status_code == 401
    with stranger(aihub_server) as elsewhere:
        assert log_in(elsewhere, ann.email, NEW_PASSWORD).status_code == 200
        assert log_in(elsewhere, ann.email, PASSWORD).status_code == 401


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"currentPassword": "not-it", "newPassword": NEW_PASSWORD}, ["currentPassword"]),
        ({"currentPassword": PASSWORD}, ["newPassword"]),
        ({"currentPassword": PASSWORD, "newPassword": PASSWORD}, ["newPassword"]),
        ({"currentPassword": PASSWORD, "newPassword": "short"}, ["newPassword"]),
    ],
)
def test_a_bad_change_of_password_is_refused(
    client: httpx2.Client, ann: Person, body: dict[str, str], named: list[str]
) -> None:
    answer = client.put("/api/users/me/password", json=body, headers=ann.headers)
    assert (answer.status_code, error(answer)["code"], fields(answer)) == (422, "VALIDATION_ERROR", named)
    assert log_in(client, ann.email, PASSWORD).status_code == 200


@pytest.mark.parametrize("path", ["/api/users/me", "/api/users/me/password"])
def test_changes_need_a_credential(client: httpx2.Client, path: str) -> None:
    answer = client.put(path, json={})
    assert (answer.status_code, error(answer)["code"]) == (401, "AUTHENTICATION_FAILED")
