"""Common Headers, Response Format, Error Handling and Rate Limiting of the document, and its OpenAPI description."""

import re
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aihub_people import PASSWORD, Person, build, selling, settings_for, stranger

from cloudyard.testing.fuzzing import fuzz
from cloudyard.testing.installation import Installation, installation
from cloudyard.testing.local_stripe import local_stripe

ROUTES = {
    ("POST", "/api/auth/register"),
    ("POST", "/api/auth/login"),
    ("POST", "/api/auth/refresh"),
    ("POST", "/api/auth/logout"),
    ("POST", "/api/auth/forgot-password"),
    ("POST", "/api/auth/reset-password"),
    ("GET", "/api/auth/providers"),
    ("GET", "/api/auth/google"),
    ("GET", "/api/auth/google/callback"),
    ("GET", "/api/auth/oidc/{provider}"),
    ("GET", "/api/auth/oidc/{provider}/callback"),
    ("POST", "/api/auth/exchange"),
    ("GET", "/api/users/me"),
    ("PUT", "/api/users/me"),
    ("PUT", "/api/users/me/password"),
    ("GET", "/api/users/me/applications"),
    ("DELETE", "/api/users/me/applications/{application_id}"),
    ("GET", "/api/credits/balance"),
    ("GET", "/api/credits/history"),
    ("GET", "/api/credits/packages"),
    ("POST", "/api/credits/purchase"),
    ("GET", "/api/credits/purchases/{purchase_id}"),
    ("GET", "/api/mcp/models"),
    ("POST", "/api/mcp/chat/completions"),
    ("GET", "/api/notifications"),
    ("PUT", "/api/notifications/{notification_id}/read"),
    ("PUT", "/api/notifications/read-all"),
    ("GET", "/api/notifications/settings"),
    ("PUT", "/api/notifications/settings"),
    ("GET", "/api/notifications/push/key"),
    ("GET", "/api/notifications/push/subscriptions"),
    ("POST", "/api/notifications/push/subscriptions"),
    ("DELETE", "/api/notifications/push/subscriptions/{subscription_id}"),
    ("GET", "/api/admin/users"),
    ("GET", "/api/admin/users/{user_id}"),
    ("PUT", "/api/admin/users/{user_id}"),
    ("GET", "/api/admin/metrics"),
    ("GET", "/api/admin/payments"),
    ("GET", "/api/admin/payments/{payment_id}"),
    ("POST", "/api/admin/payments/{payment_id}/refund"),
    ("GET", "/api/admin/payments"),
    ("GET", "/api/admin/payments/{payment_id}"),
    ("POST", "/api/admin/payments/{payment_id}/refund"),
    ("POST", "/api/admin/users/{user_id}/credits/adjust"),
    ("GET", "/api/admin/webhooks"),
    ("POST", "/api/admin/webhooks"),
    ("GET", "/api/admin/webhooks/{webhook_id}"),
    ("PUT", "/api/admin/webhooks/{webhook_id}"),
    ("DELETE", "/api/admin/webhooks/{webhook_id}"),
    ("POST", "/api/admin/webhooks/{webhook_id}/test"),
    ("POST", "/api/admin/webhooks/{webhook_id}/rotate-secret"),
    ("GET", "/api/admin/webhooks/{webhook_id}/deliveries"),
    ("GET", "/api/admin/webhooks/{webhook_id}/deliveries/{delivery_id}"),
    ("POST", "/api/admin/webhooks/{webhook_id}/deliveries/{delivery_id}/replay"),
}

LOGINS = {"/api/auth/login", "/api/auth/refresh", "/api/auth/exchange"}


def error(answer: httpx2.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()
    assert set(found) == {"success", "error", "meta"}
    assert found["success"] is False
    assert set(found["error"]) == {"code", "message", "details"}
    assert all(set(detail) == {"field", "message"} for detail in found["error"]["details"])
    problem: dict[str, Any] = found["error"]
    return problem


def test_every_answer_has_its_meta(client: httpx2.Client, onlooker: Person) -> None:
    answers = [
        client.get("/api/users/me", headers=onlooker.headers),
        client.get("/api/credits/history", headers=onlooker.headers),
        client.get("/api/users/me"),
        client.get("/api/no-such-thing"),
        client.post("/api/auth/login", json={"email": 1}),
    ]
    for answer in answers:
        meta = answer.json()["meta"]
        assert set(meta) == {"timestamp", "requestId", "version"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", meta["timestamp"])
        assert meta["version"] == "1.0"
        assert meta["requestId"] == answer.headers["x-request-id"]
        assert answer.headers["content-type"] == "application/json"
    assert len({answer.json()["meta"]["requestId"] for answer in answers}) == len(answers)


@pytest.mark.parametrize("path", ["/api/users/me", "/api/no-such-thing"])
def test_a_request_id_comes_back(client: httpx2.Client, onlooker: Person, path: str) -> None:
    headers = onlooker.headers | {"X-Request-ID": "req-42", "X-Client-Version": "1.0.0"}
    answer = client.get(path, headers=headers)
    assert answer.headers["x-request-id"] == answer.json()["meta"]["requestId"] == "req-42"


def test_a_hostile_request_id_is_replaced(client: httpx2.Client) -> None:
    answer = client.get("/api/users/me", headers={"X-Request-ID": "<script>"})
    assert "<script>" not in answer.text
    assert answer.json()["meta"]["requestId"] == answer.headers["x-request-id"] != "<script>"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/no-such-thing", 404, "RESOURCE_NOT_FOUND"),
        ("GET", "/api/users/me/", 404, "RESOURCE_NOT_FOUND"),
        ("GET", "/api/auth/login", 405, "VALIDATION_ERROR"),
        ("DELETE", "/api/users/me", 405, "VALIDATION_ERROR"),
    ],
)
def test_what_is_not_served(client: httpx2.Client, method: str, path: str, status: int, code: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, error(answer)["code"]) == (status, code)
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"email": "user@example.com", ',
        b"{'email': 1}",
        b'{"email": "a@b.c", "email": "d@e.f", "password": "x"}',
        b'{"email": NaN}',
        b'{"email": "\xff"}',
        b'{"email": "\\ud800"}',
        b"[" * 5000 + b"]" * 5000,
    ],
)
def test_unreadable_json_is_a_bad_request(client: httpx2.Client, body: bytes) -> None:
    answer = client.post("/api/auth/login", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert error(answer)["code"] == "VALIDATION_ERROR"


@pytest.mark.parametrize("body", ["[]", '"text"', "7", "null"])
def test_json_that_is_no_object_is_refused(client: httpx2.Client, body: str) -> None:
    answer = client.post("/api/auth/login", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, error(answer)["code"]) == (422, "VALIDATION_ERROR")
    assert error(answer)["details"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_another_content_type_is_refused(client: httpx2.Client, kind: str) -> None:
    body = f'{{"email": "user@example.com", "password": "{PASSWORD}"}}'
    answer = client.post("/api/auth/login", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, error(answer)["code"]) == (415, "VALIDATION_ERROR")
    assert "application/json" in error(answer)["message"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused(client: httpx2.Client, chunked: bool) -> None:
    body = b'{"email": "' + b"x" * 60_000 + b'"}'
    content = (body[at : at + 4096] for at in range(0, len(body), 4096)) if chunked else body
    answer = client.post("/api/auth/register", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert error(answer)["code"] == "VALIDATION_ERROR"


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", "/api/auth/login", 10),
        ("POST", "/api/auth/logout", 10),
        ("GET", "/api/users/me", 100),
        ("GET", "/api/no-such-thing", 100),
        ("GET", "/api/mcp/models", 60),
        ("POST", "/api/admin/users/1/credits/adjust", 200),
    ],
)
def test_each_group_has_its_limit(client: httpx2.Client, method: str, path: str, limit: int) -> None:
    headers = client.request(method, path).headers
    assert headers["x-ratelimit-limit"] == str(limit)
    assert headers["x-ratelimit-remaining"] == str(limit - 1)
    assert time.time() - 5 <= int(headers["x-ratelimit-reset"]) <= time.time() + 65


def test_a_success_tells_of_its_limit_too(client: httpx2.Client, ann: Person, admin: Person) -> None:
    general = client.get("/api/users/me", headers=ann.headers).headers
    assert (general["x-ratelimit-limit"], general["x-ratelimit-remaining"]) == ("100", "99")
    body = {"amount": 1, "reason": "A gift"}
    given = client.post(f"/api/admin/users/{ann.id}/credits/adjust", json=body, headers=admin.headers)
    assert (given.status_code, given.headers["x-ratelimit-limit"]) == (200, "200")


def test_the_eleventh_login_in_a_minute_waits(client: httpx2.Client, aihub_server: Installation) -> None:
    answers = [client.post("/api/auth/login", json={}) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [422] * 10 + [429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == [str(max(0, n)) for n in range(9, -2, -1)]
    refused = answers[-1]
    assert error(refused)["code"] == "RATE_LIMIT_EXCEEDED"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-limit"] == "10"
    assert client.post("/api/auth/register", json={}).status_code == 429
    assert client.get("/api/users/me").status_code == 401
    with stranger(aihub_server) as elsewhere:
        assert elsewhere.post("/api/auth/login", json={}).status_code == 422


def test_a_user_is_counted_wherever_the_calls_come_from(aihub_server: Installation, ann: Person) -> None:
    remaining = []
    for _ in range(2):
        with stranger(aihub_server) as client:
            remaining.append(client.get("/api/users/me", headers=ann.headers).headers["x-ratelimit-remaining"])
    assert remaining == ["99", "98"]


def test_the_hundred_and_first_request_in_a_minute_waits(client: httpx2.Client, ann: Person) -> None:
    answers = [client.get("/api/users/me", headers=ann.headers) for _ in range(101)]
    assert [answer.status_code for answer in answers[:100]] == [200] * 100
    assert answers[100].status_code == 429
    assert client.get("/api/credits/balance", headers=ann.headers).status_code == 429


def test_security_headers_are_on_every_answer(client: httpx2.Client, onlooker: Person) -> None:
    for answer in (client.get("/api/users/me", headers=onlooker.headers), client.get("/nothing"), client.get("/docs")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "strict-transport-security" not in answer.headers


def test_browsers_of_configured_origins_may_call(client: httpx2.Client) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    allowed = client.options("/api/auth/login", headers={"Origin": "https://app.example", **asked})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert "authorization" in allowed.headers["access-control-allow-headers"].lower()
    refused = client.options("/api/auth/login", headers={"Origin": "https://evil.example", **asked})
    assert "access-control-allow-origin" not in refused.headers


def test_the_description_names_every_route_and_only_our_errors(client: httpx2.Client) -> None:
    described = client.get("/openapi.json").json()
    assert described["info"]["version"] == "1.0.0"
    assert described["servers"] == [{"url": "/aihub"}]
    routes = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert routes == ROUTES
    assert "HTTPValidationError" not in str(described)
    assert client.get("/docs").headers["content-type"].startswith("text/html")
    assert client.get("/openapi.yaml").status_code == 200


def test_documents_have_no_limit(client: httpx2.Client) -> None:
    assert "x-ratelimit-limit" not in client.get("/openapi.json").headers


def test_no_request_that_the_description_allows_breaks_the_server(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "data", limits=False)
    with local_stripe() as stripe, installation(selling(settings, stripe), build) as running:
        admin = running.run(running.services.users.find_by_email("root@example.com"))
        _, key = running.run(running.services.api_keys.create(admin.id, name="fuzzing"))
        fuzz(
            f"{running.url}/aihub/openapi.json",
            tmp_path,
            key=key,
            examples=15,
            logins=LOGINS,
            without=["/api/auth/google", "/api/auth/oidc/{provider}"],
        )
