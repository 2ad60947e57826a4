"""Response Format, Security Features and API Documentation of the document."""

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
from neurogrid_people import PASSWORD, Person, build, error, settings_for, stranger

from cloudyard.testing.fuzzing import fuzz
from cloudyard.testing.installation import Installation, installation

ROUTES = {
    ("POST", "/api/auth/register"),
    ("POST", "/api/auth/login"),
    ("POST", "/api/auth/refresh"),
    ("POST", "/api/auth/logout"),
    ("GET", "/api/users/api-keys"),
    ("POST", "/api/users/api-keys"),
    ("DELETE", "/api/users/api-keys/{key_id}"),
    ("GET", "/api/wallet"),
    ("GET", "/api/wallet/transactions"),
}
LOGINS = {"/api/auth/login", "/api/auth/refresh"}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_a_success_has_the_shape_of_the_document(client: httpx2.Client, onlooker: Person) -> None:
    found = client.get("/api/wallet", headers=onlooker.headers).json()
    assert set(found) == {"success", "data", "timestamp"}
    assert found["success"] is True
    assert TIMESTAMP.fullmatch(found["timestamp"])
    assert TIMESTAMP.fullmatch(found["data"]["updated_at"])


def test_a_failure_has_the_shape_of_the_document(client: httpx2.Client) -> None:
    for answer in (
        client.get("/api/wallet"),
        client.get("/api/no-such-thing"),
        client.post("/api/auth/login", json={}),
    ):
        found = error(answer)
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", found["error"])
        assert TIMESTAMP.fullmatch(found["timestamp"])
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/no-such-thing", 404, "route_not_found"),
        ("GET", "/api/wallet/", 404, "route_not_found"),
        ("PATCH", "/api/wallet", 405, "method_not_allowed"),
    ],
)
def test_what_is_not_served(client: httpx2.Client, method: str, path: str, status: int, code: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, error(answer)["error"]) == (status, code)


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "My GPU Node", ',
        b"{'name': 1}",
        b'{"name": "a", "name": "b"}',
        b'{"name": NaN}',
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b"[" * 5000 + b"]" * 5000,
        b"[]",
        b'"text"',
    ],
)
def test_unreadable_json_is_a_bad_request(client: httpx2.Client, onlooker: Person, body: bytes) -> None:
    headers = onlooker.headers | {"Content-Type": "application/json"}
    answer = client.post("/api/users/api-keys", content=body, headers=headers)
    assert answer.status_code == 400
    assert error(answer)["details"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_another_content_type_is_refused(client: httpx2.Client, onlooker: Person, kind: str) -> None:
    headers = onlooker.headers | {"Content-Type": kind}
    answer = client.post("/api/users/api-keys", content=b'{"name": "k"}', headers=headers)
    assert (answer.status_code, error(answer)["error"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused(client: httpx2.Client, onlooker: Person, chunked: bool) -> None:
    body = b'{"name": "' + b"x" * 60_000 + b'"}'
    content = (body[at : at + 4096] for at in range(0, len(body), 4096)) if chunked else body
    headers = onlooker.headers | {"Content-Type": "application/json"}
    answer = client.post("/api/users/api-keys", content=content, headers=headers)
    assert (answer.status_code, error(answer)["error"]) == (413, "body_too_large")


def test_the_sixth_login_in_a_quarter_of_an_hour_waits(client: httpx2.Client, neurogrid_server: Installation) -> None:
    body = {"identifier": "nobody@example.com", "password": PASSWORD}
    answers = [client.post("/api/auth/login", json=body) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["4", "3", "2", "1", "0", "0"]
    refused = answers[-1]
    assert error(refused)["error"] == "rate_limited"
    assert error(refused)["details"] == {"rule": "login", "limit": 5, "window_seconds": 900}
    assert 1 <= int(refused.headers["retry-after"]) <= 900
    assert refused.headers["x-ratelimit-limit"] == "5"
    assert client.get("/api/wallet").status_code == 401
    with stranger(neurogrid_server) as elsewhere:
        assert elsewhere.post("/api/auth/login", json=body).status_code == 401


def test_a_login_counts_whoever_is_logged_in_already(client: httpx2.Client, onlooker: Person) -> None:
    answers = [client.post("/api/auth/login", json={}, headers=onlooker.headers) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [400] * 5 + [429]


def test_the_fourth_registration_in_an_hour_waits(client: httpx2.Client) -> None:
    answers = [client.post("/api/auth/register", json={}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [400] * 3 + [429]
    assert answers[0].headers["x-ratelimit-limit"] == "3"
    assert 1 <= int(answers[3].headers["retry-after"]) <= 3600
    assert error(answers[3])["details"]["window_seconds"] == 3600


def test_the_hundred_and_first_request_in_a_minute_waits(client: httpx2.Client, ann: Person) -> None:
    answers = [client.get("/api/wallet", headers=ann.headers) for _ in range(101)]
    assert [answer.status_code for answer in answers] == [200] * 100 + [429]
    assert answers[0].headers["x-ratelimit-limit"] == "100"
    assert client.get("/api/wallet").status_code == 401


def test_security_headers_are_on_every_answer(client: httpx2.Client, onlooker: Person) -> None:
    answers = [
        client.get("/api/wallet", headers=onlooker.headers),
        client.get("/api/wallet"),
        client.get("/nothing"),
        client.get("/api-docs"),
        client.get("/api-docs.json"),
    ]
    for answer in answers:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert re.match(r"max-age=\d+", answer.headers["strict-transport-security"])
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-request-id"]


def test_browsers_of_configured_origins_may_call(client: httpx2.Client) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    allowed = client.options("/api/users/api-keys", headers={"Origin": "https://app.example", **asked})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    assert allowed.headers["access-control-allow-credentials"] == "true"
    assert "POST" in allowed.headers["access-control-allow-methods"]
    refused = client.options("/api/users/api-keys", headers={"Origin": "https://evil.example", **asked})
    assert "access-control-allow-origin" not in refused.headers


def test_the_documents_are_where_the_document_says(client: httpx2.Client) -> None:
    page = client.get("/api-docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "Swagger UI" in page.text
    assert "/neurogrid/api-docs/assets/" in page.text
    described = client.get("/api-docs.json").json()
    assert described["openapi"].startswith("3.")
    assert described["info"]["version"] == "1.0.0"
    assert described["servers"] == [{"url": "/neurogrid"}]
    routes = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert routes == ROUTES
    assert "HTTPValidationError" not in str(described)
    assert client.get("/docs").status_code == 404
    assert "x-ratelimit-limit" not in page.headers


def test_no_request_that_the_description_allows_breaks_the_server(tmp_path: Path) -> None:
    with installation(settings_for(tmp_path / "data", limits=False), build) as running:
        admin: Any = running.run(running.services.users.find_by_email("root@example.com"))
        _, key = running.run(running.services.api_keys.create(admin.id, name="fuzzing"))
        fuzz(f"{running.url}/neurogrid/api-docs.json", tmp_path, key=key, examples=15, logins=LOGINS)
