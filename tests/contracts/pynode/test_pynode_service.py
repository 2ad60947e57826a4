"""Health & Status, Rate Limiting, Error Responses and the documents of pynode.md."""

import re
import time
from typing import Any

import httpx2
import pytest
import yaml

from cloudyard.testing.installation import Installation

Account = dict[str, Any]


def test_health(client: httpx2.Client) -> None:
    found = client.get("/health").json()
    assert found["status"] == "healthy"
    assert found["version"] == "1.0.0"
    assert found["uptime"] >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", found["timestamp"])


def test_ready_asks_every_part_and_names_what_stands_behind(client: httpx2.Client) -> None:
    answer = client.get("/ready")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["status"] == "ready"
    assert {name: found["services"][name] for name in ("database", "redis", "storage")} == dict.fromkeys(
        ("database", "redis", "storage"), "connected"
    )
    assert found["backends"]["database"] == "sqlite"
    assert found["backends"]["redis"] == "memory"
    assert found["problems"] == {}


@pytest.fixture
def administrator(client: httpx2.Client, pynode_server: Installation) -> dict[str, str]:
    login = {"email": "root@example.com", "password": "Correct horse 7!"}
    pynode_server.run(pynode_server.services.users.ensure_admin(**login))
    return {"Authorization": f"Bearer {client.post('/api/auth/login', json=login).json()['access_token']}"}


def ready(client: httpx2.Client, status: int) -> httpx2.Response:
    """What /ready says, once it has the status: what it tells may be a second old."""
    deadline = time.monotonic() + 20
    answer = client.get("/ready")
    while answer.status_code != status and time.monotonic() < deadline:
        time.sleep(0.1)
        answer = client.get("/ready")
    assert answer.status_code == status, answer.text
    return answer


def test_a_missing_model_file_is_told_and_comes_back(
    client: httpx2.Client, pynode_server: Installation, administrator: dict[str, str], ann: Account
) -> None:
    (model,) = (m for m in pynode_server.services.catalogue.local_models() if m.embedding)
    aside = model.path.with_suffix(".aside")
    model.path.rename(aside)
    try:
        answer = ready(client, 503)
        assert answer.json()["status"] == "not_ready"
        assert answer.json()["problems"] == {"model all-minilm-l6-v2": "unavailable"}, "a stranger hears no more"
        assert answer.json()["services"]["model all-minilm-l6-v2"] == "disconnected"
        assert answer.json()["services"]["database"] == "connected"
        told = client.get("/ready", headers=administrator).json()["problems"]["model all-minilm-l6-v2"]
        assert f"{model.path} is missing" in told
        assert client.get("/ready", headers=ann["auth"]).json() == answer.json()
        assert client.get("/health").status_code == 200
    finally:
        aside.rename(model.path)
    ready(client, 200)


@pytest.mark.parametrize(("origin", "allowed"), [("http://localhost:3000", True), ("http://localhost:3001", False)])
def test_in_development_the_documents_front_end_may_call(
    pynode_server: Installation, origin: str, allowed: bool
) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for surface in ("pynode/api/chat", "neurogrid/api/tasks"):
        answer = httpx2.options(f"{pynode_server.url}/{surface}", headers=asked)
        assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)


def test_metrics_are_prometheus_text(client: httpx2.Client, ann: Account) -> None:
    client.get("/api/users/me", headers=ann["auth"])
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert re.search(r"(?m)^# TYPE cloudyard_http_requests_total counter$", answer.text) or re.search(
        r"(?m)^# TYPE cloudyard_http_requests counter$", answer.text
    )
    assert 'route="/api/users/me"' in answer.text


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/docs", "/openapi.json"])
def test_open_routes_have_no_limit(client: httpx2.Client, path: str) -> None:
    answers = [client.get(path) for _ in range(12)]
    assert {a.status_code for a in answers} == {200}


def test_strangers_have_ten_requests_in_a_quarter_of_an_hour(client: httpx2.Client) -> None:
    answers = [client.get("/api/users/me") for _ in range(11)]
    assert [a.status_code for a in answers] == [401] * 10 + [429]
    assert [a.headers["x-ratelimit-remaining"] for a in answers] == [str(max(0, n)) for n in range(9, -2, -1)]
    refused = answers[-1]
    assert refused.headers["x-ratelimit-limit"] == "10"
    assert re.fullmatch(r"\d{10}", refused.headers["x-ratelimit-reset"])
    assert refused.headers["ratelimit-policy"] == '"api";q=10;w=900'
    found = refused.json()
    assert (found["error"], found["code"]) == ("Too Many Requests", "RATE_LIMIT_EXCEEDED")
    assert found["message"].startswith("Rate limit exceeded")
    assert 1 <= found["retry_after"] <= 900
    assert int(refused.headers["retry-after"]) == found["retry_after"]


def test_users_have_a_hundred_requests_wherever_they_are(client: httpx2.Client, ann: Account) -> None:
    elsewhere = {**ann["auth"], "X-Forwarded-For": "198.51.100.99"}
    first = client.get("/api/users/me", headers=elsewhere)
    second = client.get("/api/users/me", headers=ann["auth"])
    assert first.headers["x-ratelimit-limit"] == "100"
    assert int(second.headers["x-ratelimit-remaining"]) == int(first.headers["x-ratelimit-remaining"]) - 1


def test_unknown_paths_and_methods_have_the_flat_shape(client: httpx2.Client, ann: Account) -> None:
    missing = client.get("/api/no-such-thing", headers=ann["auth"])
    assert missing.status_code == 404
    assert (missing.json()["error"], missing.json()["code"]) == ("Not Found", "RESOURCE_NOT_FOUND")
    wrong = client.delete("/api/users/me", headers=ann["auth"])
    assert (wrong.status_code, wrong.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert set(wrong.headers["allow"].split(", ")) <= {"GET", "PUT"}


def test_every_answer_carries_id_and_security_headers(client: httpx2.Client) -> None:
    for path in ("/health", "/api/users/me", "/api/nothing"):
        headers = client.get(path, headers={"X-Request-ID": "mine-1"}).headers
        assert headers["x-request-id"] == "mine-1"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_the_documents(client: httpx2.Client) -> None:
    page = client.get("/docs", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "swagger" in page.text.lower()
    described = client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.")
    assert described["info"]["title"] == "Dev-PyNode API"
    assert set(described["paths"]) == {
        "/api/auth/register", "/api/auth/login", "/api/auth/refresh", "/api/auth/logout", "/api/users/me",
        "/api/chat", "/api/chat/history", "/api/files/upload", "/api/files", "/api/files/{id}",
        "/api/files/{id}/download", "/health", "/ready", "/metrics",
    }  # fmt: skip
    text = client.get("/openapi.yaml")
    assert "yaml" in text.headers["content-type"]
    assert yaml.safe_load(text.text) == described


def test_the_documents_own_port_needs_no_prefix(pynode_server: Installation) -> None:
    assert httpx2.get(f"{pynode_server.url}/api/users/me").status_code == 404
    answer = httpx2.get(f"{pynode_server.url}/pynode/health")
    assert answer.json()["status"] == "healthy"
