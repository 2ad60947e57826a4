"""Authentication of the document: registration, login, tokens, the session cookie."""

import time
from http.cookies import SimpleCookie
from typing import Any

import httpx2
import pytest
from neurogrid_people import PASSWORD, Person, error

from cloudyard.domains.identity import Role, UserStatus
from cloudyard.testing.bad_tokens import KINDS, bad_tokens
from cloudyard.testing.installation import Installation

SAMPLE = {"email": "sample@example.com", "username": "sample", "password": PASSWORD, "full_name": "Developer Name"}


def cookie_of(answer: httpx2.Response) -> Any:
    jar = SimpleCookie(answer.headers["set-cookie"])
    return jar["session"]


def test_registration_as_the_document_shows_it(client: httpx2.Client) -> None:
    body = {
        "email": "Developer@Example.com",
        "username": "dev_user",
        "password": "SecurePass123!",
        "full_name": "Developer Name",
        "company": "Example Ltd",
        "role": "node_operator",
    }
    answer = client.post("/api/auth/register", json=body)
    assert answer.status_code == 201
    user = answer.json()["data"]["user"]
    assert user.pop("id")
    assert user.pop("created_at")
    assert user == {
        "email": "developer@example.com",
        "username": "dev_user",
        "full_name": "Developer Name",
        "company": "Example Ltd",
        "role": "node_operator",
        "email_verified": False,
    }
    assert "SecurePass123!" not in answer.text


def test_only_address_username_and_password_are_needed(client: httpx2.Client, neurogrid_server: Installation) -> None:
    body = {"email": "least@example.com", "username": "Least-1", "password": PASSWORD, "full_name": None}
    answer = client.post("/api/auth/register", json=body)
    assert answer.status_code == 201
    user = answer.json()["data"]["user"]
    assert (user["role"], user["full_name"], user["company"]) == ("user", "", None)
    stored = neurogrid_server.run(neurogrid_server.services.users.get(user["id"]))
    assert stored.role is Role.USER


def test_the_new_account_is_paid_for_at_once(client: httpx2.Client) -> None:
    body = {"email": "paid@example.com", "username": "paid", "password": PASSWORD}
    assert client.post("/api/auth/register", json=body).status_code == 201
    token = client.post("/api/auth/login", json={"identifier": "paid", "password": PASSWORD}).json()["data"]["token"]
    wallet = client.get("/api/wallet", headers={"Authorization": f"Bearer {token}"}).json()["data"]
    assert (wallet["balance"], wallet["credits"]) == (10, 1000)


def test_a_link_to_verify_the_address_is_mailed(client: httpx2.Client, neurogrid_server: Installation) -> None:
    client.post("/api/auth/register", json=SAMPLE | {"email": "mailed@example.com", "username": "mailed"})
    folder = neurogrid_server.services.settings.data_dir / "mail"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if any("mailed@example.com" in file.read_text() for file in folder.glob("*.eml")):
            return
        time.sleep(0.05)
    raise AssertionError("no mail came")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"username": "somebody-else"}, "email_taken", "email"),
        ({"email": "somebody-else@example.com"}, "username_taken", "username"),
    ],
)
def test_a_taken_address_or_username_is_a_conflict(
    client: httpx2.Client, onlooker: Person, change: dict[str, str], code: str, field: str
) -> None:
    body = {"email": onlooker.email.upper(), "username": onlooker.username.upper(), "password": PASSWORD}
    answer = client.post("/api/auth/register", json=body | change)
    assert answer.status_code == 409
    assert error(answer)["error"] == code
    assert set(error(answer)["details"]) == {field}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "not-an-email"}, "email"),
        ({"email": 42}, "email"),
        ({"email": "nul\x00@example.com"}, "email"),
        ({"username": "ab"}, "username"),
        ({"username": "x" * 31}, "username"),
        ({"username": "with space"}, "username"),
        ({"username": "a@b.example"}, "username"),
        ({"username": None}, "username"),
        ({"password": "Sh0rt!"}, "password"),
        ({"password": "nouppercase1!"}, "password"),
        ({"password": "NOLOWERCASE1!"}, "password"),
        ({"password": "NoDigitsHere!"}, "password"),
        ({"password": "NoSymbols123"}, "password"),
        ({"password": "Aa1!" + "x" * 253}, "password"),
        ({"password": 12345678}, "password"),
        ({"full_name": {"first": 1}}, "full_name"),
        ({"full_name": "bell\x07"}, "full_name"),
        ({"company": "x" * 201}, "company"),
        ({"role": "admin"}, "role"),
        ({"role": "emperor"}, "role"),
        ({"role": None}, "role"),
    ],
)
def test_a_bad_registration_names_the_field(client: httpx2.Client, change: dict[str, Any], field: str) -> None:
    answer = client.post("/api/auth/register", json=SAMPLE | change)
    assert answer.status_code == 400, answer.text
    assert set(error(answer)["details"]) == {field}


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("/api/auth/register", {"email", "username", "password"}),
        ("/api/auth/login", {"identifier", "password"}),
        ("/api/auth/refresh", {"refresh_token"}),
    ],
)
def test_missing_fields_are_named_all_together(client: httpx2.Client, path: str, missing: set[str]) -> None:
    answer = client.post(path, json={})
    assert answer.status_code == 400
    assert set(error(answer)["details"]) == missing


@pytest.mark.parametrize("way", ["email", "EMAIL", "username", "USERNAME"])
def test_login_by_address_or_username(client: httpx2.Client, onlooker: Person, way: str) -> None:
    identifier = getattr(onlooker, way.lower())
    answer = client.post(
        "/api/auth/login",
        json={"identifier": identifier.upper() if way.isupper() else identifier, "password": PASSWORD},
    )
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert set(data) == {"token", "refresh_token", "expires_in", "user"}
    assert data["token"].count(".") == data["refresh_token"].count(".") == 2
    assert data["user"]["id"] == onlooker.id


@pytest.mark.parametrize("password", ["wrong", "", "x" * 5000])
def test_a_wrong_password_and_an_unknown_user_cannot_be_told_apart(
    client: httpx2.Client, onlooker: Person, password: str
) -> None:
    answers = [
        client.post("/api/auth/login", json={"identifier": identifier, "password": password})
        for identifier in (onlooker.email, "nobody@example.com", "nul\x00", "' OR 1=1 --")
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert {error(answer)["error"] for answer in answers} == {"invalid_credentials"}
    assert len({error(answer)["message"] for answer in answers}) == 1
    assert all("set-cookie" not in answer.headers for answer in answers)


def test_login_gives_browsers_a_cookie_out_of_reach_of_scripts(client: httpx2.Client, onlooker: Person) -> None:
    answer = client.post("/api/auth/login", json={"identifier": onlooker.email, "password": PASSWORD})
    cookie = cookie_of(answer)
    assert cookie.value == answer.json()["data"]["token"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "lax"
    assert cookie["path"] == "/neurogrid"
    assert int(cookie["max-age"]) == answer.json()["data"]["expires_in"]
    assert not cookie["secure"]


def test_the_cookie_is_for_https_only_where_it_came_by_https(client: httpx2.Client, onlooker: Person) -> None:
    answer = client.post(
        "/api/auth/login",
        json={"identifier": onlooker.email, "password": PASSWORD},
        headers={"X-Forwarded-Proto": "https"},
    )
    assert cookie_of(answer)["secure"]


def test_a_browser_stays_logged_in_by_its_cookie_until_logout(client: httpx2.Client, ann: Person) -> None:
    client.post("/api/auth/login", json={"identifier": ann.email, "password": PASSWORD})
    assert client.get("/api/wallet").status_code == 200
    answer = client.post("/api/auth/logout", headers={"Origin": str(client.base_url.copy_with(path="")).rstrip("/")})
    assert answer.status_code == 200
    cookie = cookie_of(answer)
    assert (cookie.value, cookie["path"], cookie["max-age"]) == ("", "/neurogrid", "0")
    assert "session" not in client.cookies
    assert client.get("/api/wallet").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://app.example.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_the_cookie_does_nothing_for_another_site(
    client: httpx2.Client, onlooker: Person, headers: dict[str, str]
) -> None:
    for method, path, body in (
        ("POST", "/api/users/api-keys", {"name": "stolen"}),
        ("DELETE", "/api/users/api-keys/x", None),
        ("POST", "/api/auth/logout", None),
    ):
        answer = client.request(method, path, json=body, headers=onlooker.cookie | headers)
        assert (answer.status_code, error(answer)["error"]) == (401, "authentication_required")
    assert client.get("/api/wallet", headers=onlooker.cookie | headers).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://app.example"}, {"Sec-Fetch-Site": "same-origin"}])
def test_the_cookie_works_for_the_own_site_and_configured_ones(
    client: httpx2.Client, ann: Person, headers: dict[str, str]
) -> None:
    answer = client.post("/api/users/api-keys", json={"name": "mine"}, headers=ann.cookie | headers)
    assert answer.status_code == 201


def test_refresh_gives_new_tokens_and_uses_the_old_one_up(client: httpx2.Client, ann: Person) -> None:
    answer = client.post("/api/auth/refresh", json={"refresh_token": ann.refresh_token})
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert set(data) == {"token", "refresh_token", "expires_in"}
    assert cookie_of(answer).value == data["token"]
    fresh = {"Authorization": f"Bearer {data['token']}"}
    assert client.get("/api/wallet", headers=fresh).status_code == 200
    again = client.post("/api/auth/refresh", json={"refresh_token": ann.refresh_token})
    assert (again.status_code, error(again)["error"]) == (401, "refresh_token_reused")
    assert client.get("/api/wallet", headers=fresh).status_code == 401


@pytest.mark.parametrize("token", ["garbage", "", "a.b.c", "x" * 10_000])
def test_a_bad_refresh_token_is_refused(client: httpx2.Client, token: str) -> None:
    answer = client.post("/api/auth/refresh", json={"refresh_token": token})
    assert (answer.status_code, error(answer)["error"]) == (401, "invalid_token")


def test_logout_ends_the_session_and_its_refresh_token(client: httpx2.Client, ann: Person) -> None:
    answer = client.post("/api/auth/logout", json={"refresh_token": ann.refresh_token}, headers=ann.headers)
    assert answer.status_code == 200
    assert client.get("/api/wallet", headers=ann.headers).status_code == 401
    assert client.post("/api/auth/refresh", json={"refresh_token": ann.refresh_token}).status_code == 401


def test_logout_needs_a_session(client: httpx2.Client, neurogrid_server: Installation, onlooker: Person) -> None:
    assert client.post("/api/auth/logout").status_code == 401
    _, secret = neurogrid_server.run(neurogrid_server.services.api_keys.create(onlooker.id, name="k"))
    answer = client.post("/api/auth/logout", headers={"X-API-Key": secret})
    assert (answer.status_code, error(answer)["error"]) == (400, "no_session")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["bearer", "cookie", "key"])
def test_a_bad_token_is_refused(
    client: httpx2.Client, neurogrid_server: Installation, onlooker: Person, kind: str, way: str
) -> None:
    services = neurogrid_server.services
    bad = neurogrid_server.run(bad_tokens(services, onlooker.access_token, onlooker.refresh_token))[kind]
    headers = {
        "bearer": {"Authorization": f"Bearer {bad}"},
        "cookie": {"Cookie": f"session={bad}"},
        "key": {"X-API-Key": bad},
    }[way]
    answer = client.get("/api/wallet", headers=headers)
    assert (answer.status_code, error(answer)["error"]) == (
        401,
        "token_expired" if kind == "expired" else "invalid_token",
    )
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_suspended_user_is_shut_out(client: httpx2.Client, neurogrid_server: Installation, ann: Person) -> None:
    neurogrid_server.run(neurogrid_server.services.users.set_status(ann.id, UserStatus.SUSPENDED))
    assert client.get("/api/wallet", headers=ann.headers).status_code in (401, 403)
    answer = client.post("/api/auth/login", json={"identifier": ann.email, "password": PASSWORD})
    assert (answer.status_code, error(answer)["error"]) == (403, "account_suspended")
