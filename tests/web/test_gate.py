"""The gate in process: every request goes through the whole of it, over ASGI itself."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import structlog
from starlette.types import Receive, Scope, Send

from cloudyard.domains.identity import TokenPair
from cloudyard.foundation.errors import DomainError, ErrorKind, FeatureUnavailable, InvalidInput
from cloudyard.foundation.limiting import Limit, Verdict
from cloudyard.testing.identity import IdentityParts
from cloudyard.web.authentication import require_caller
from cloudyard.web.errors import ProblemRenderer
from cloudyard.web.gate import Gate, GateParts
from cloudyard.web.policy import KeyedBy, LimitRule, SurfacePolicy, exactly, paths, under
from cloudyard.web.proxies import TrustedProxies

PASSWORD = "Long enough 1!"

POLICY = SurfacePolicy(
    name="probe",
    title="Probe",
    prefix="/probe",
    limits=(
        LimitRule("login", Limit(2, 60), Limit(2, 60), exactly("POST", "/api/login"), KeyedBy.ADDRESS),
        LimitRule("api", Limit(5, 60), Limit(3, 60), under("/api/")),
    ),
    ungated=paths("/health"),
    guarded=exactly("PUT", "/api/password"),
    streams_body=exactly("POST", "/upload"),
    session_cookie="session",
)


class Refused(DomainError):
    code = "refused"
    kind = ErrorKind.INTERNAL


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """A raw app with one path for each thing that may happen."""
    path = scope["state"]["path"]
    headers = [(b"content-type", b"text/plain")]
    body = b"ok"
    if path == "/me":
        body = require_caller(scope).user_id.encode()
    elif path == "/invalid":
        raise InvalidInput("That is wrong.", field="colour", details={"given": "green"})
    elif path == "/internal":
        raise Refused("the secret inside")
    elif path == "/bug":
        raise ZeroDivisionError("the secret inside")
    elif path == "/own-policy":
        headers.append((b"content-security-policy", b"default-src 'self'"))
    elif path in ("/read", "/upload"):
        body = b"%d" % await _length(receive)
    elif path == "/kept-back":
        raise FeatureUnavailable("It is away.", for_operators="at 10.0.0.7")
    elif path == "/breaks":
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        raise ZeroDivisionError("in mid-answer")
    scope["state"]["route"] = path
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _length(receive: Receive) -> int:
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    return length


def client_of(policy: SurfacePolicy, parts: GateParts, *, address: str = "203.0.113.1") -> httpx2.AsyncClient:
    gate = Gate(app, policy, ProblemRenderer(), parts)

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        await gate({**scope, "root_path": "/probe", "path": "/probe" + scope["path"]}, receive, send)

    transport = httpx2.ASGITransport(app=mounted, client=(address, 9), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://probe.example")


@pytest.fixture
async def client(gate_parts: GateParts) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(POLICY, gate_parts) as client:
        yield client


@pytest.fixture
async def session(identity: IdentityParts) -> TokenPair:
    user = await identity.users.register(email="ann@example.com", password=PASSWORD)
    return await identity.sessions.start(user.id)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_an_answer_carries_id_and_security_headers(client: httpx2.AsyncClient) -> None:
    headers = (await client.get("/x")).headers
    assert headers["x-request-id"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "strict-transport-security" not in headers


async def test_a_page_may_have_a_content_policy_of_its_own(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/own-policy")
    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]


async def test_hsts_comes_with_https_that_a_trusted_proxy_reports(gate_parts: GateParts) -> None:
    parts = dataclasses.replace(gate_parts, proxies=TrustedProxies(["203.0.113.1"]))
    async with client_of(POLICY, parts) as client:
        answer = await client.get("/x", headers={"X-Forwarded-Proto": "https"})
    assert "max-age" in answer.headers["strict-transport-security"]


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-123_x.Y:z", True), ("x" * 129, False), ("two words", False), ("<b>", False), ("", False)]
)
async def test_a_sane_request_id_is_kept(client: httpx2.AsyncClient, given: str, kept: bool) -> None:
    answer = await client.get("/x", headers={"X-Request-ID": given})
    assert (answer.headers["x-request-id"] == given) is kept


async def test_who_calls_is_known_by_token_key_and_cookie(
    client: httpx2.AsyncClient, identity: IdentityParts, session: TokenPair
) -> None:
    _, secret = await identity.api_keys.create(session.user.id, name="k")
    ways: list[dict[str, str]] = [
        bearer(session.access_token),
        bearer(secret),
        {"X-API-Key": secret},
        {"Cookie": f"session={session.access_token}"},
    ]
    for headers in ways:
        assert (await client.get("/me", headers=headers)).text == session.user.id


async def test_without_a_credential_a_route_that_needs_one_says_so(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/me")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "authentication_required"


async def test_a_wrong_credential_is_told_where_one_is_needed_and_ignored_elsewhere(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/me", headers=bearer("garbage"))).json()["code"] == "invalid_token"
    assert (await client.get("/x", headers=bearer("garbage"))).status_code == 200


async def test_a_token_is_refused_at_once_after_logout(
    client: httpx2.AsyncClient, identity: IdentityParts, session: TokenPair
) -> None:
    headers = bearer(session.access_token)
    assert (await client.get("/me", headers=headers)).status_code == 200
    principal = await identity.sessions.authenticate(session.access_token)
    assert principal.session_id is not None
    await identity.sessions.logout(principal.session_id)
    assert (await client.get("/me", headers=headers)).status_code == 401


async def test_another_sites_page_cannot_act_with_the_cookie(client: httpx2.AsyncClient, session: TokenPair) -> None:
    cookie = {"Cookie": f"session={session.access_token}"}
    evil = {**cookie, "Origin": "https://evil.example"}
    assert (await client.post("/me", headers=evil)).status_code == 401
    assert (await client.post("/me", headers={**cookie, "Sec-Fetch-Site": "cross-site"})).status_code == 401
    assert (await client.post("/me", headers={**cookie, "Origin": "http://probe.example"})).status_code == 200
    assert (await client.post("/me", headers={**cookie, "Origin": "https://app.example"})).status_code == 200
    token = {**bearer(session.access_token), "Origin": "https://evil.example"}
    assert (await client.post("/me", headers=token)).status_code == 200


async def test_limits_count_strangers_by_address_and_tell_when_to_come_back(
    client: httpx2.AsyncClient, gate_parts: GateParts
) -> None:
    answers = [await client.get("/api/x") for _ in range(4)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429]
    assert [a.headers["x-ratelimit-remaining"] for a in answers] == ["2", "1", "0", "0"]
    refused = answers[-1]
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-limit"] == "3"
    assert refused.headers["ratelimit-policy"] == '"api";q=3;w=60'
    assert refused.headers["ratelimit"].startswith('"api";r=0;t=')
    assert refused.json()["code"] == "rate_limited"
    assert (
        gate_parts.metrics.registry.get_sample_value(
            "cloudyard_rate_limited_total", {"surface": "probe", "rule": "api"}
        )
        == 1
    )
    async with client_of(POLICY, gate_parts, address="203.0.113.2") as neighbour:
        assert (await neighbour.get("/api/x")).status_code == 200


async def test_users_have_limits_of_their_own_also_on_open_routes(
    client: httpx2.AsyncClient, session: TokenPair
) -> None:
    for _ in range(3):
        await client.get("/api/x")
    assert (await client.get("/api/x")).status_code == 429
    answer = await client.get("/api/x", headers=bearer(session.access_token))
    assert answer.status_code == 200
    assert answer.headers["x-ratelimit-limit"] == "5"
    assert (await client.get("/api/x", headers=bearer("garbage"))).status_code == 429


async def test_a_login_is_counted_by_address_whoever_asks(client: httpx2.AsyncClient, session: TokenPair) -> None:
    statuses = [
        (await client.post("/api/login", headers=bearer(session.access_token))).status_code,
        (await client.post("/api/login")).status_code,
        (await client.post("/api/login", headers=bearer(session.access_token))).status_code,
    ]
    assert statuses == [200, 200, 429]


async def test_an_api_keys_own_limit_holds_everywhere(
    client: httpx2.AsyncClient, identity: IdentityParts, session: TokenPair
) -> None:
    _, secret = await identity.api_keys.create(session.user.id, name="slow", requests_per_minute=2)
    answers = [await client.get("/me", headers=bearer(secret)) for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"api-key";q=2;w=60'
    assert (await client.get("/me", headers=bearer(session.access_token))).status_code == 200


async def test_open_routes_are_not_limited(client: httpx2.AsyncClient) -> None:
    answers = [await client.get("/health") for _ in range(10)]
    assert {a.status_code for a in answers} == {200}
    assert "x-ratelimit-limit" not in answers[0].headers


class Unreachable:
    """A store behind a server that is down."""

    name = "valkey"

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Verdict:
        raise FeatureUnavailable("The limit store cannot be reached.")

    async def peek(self, key: str, limit: Limit) -> Verdict:
        raise FeatureUnavailable("The limit store cannot be reached.")

    async def ping(self) -> None:
        raise FeatureUnavailable("The limit store cannot be reached.")


async def test_without_their_store_requests_are_served_but_no_passwords_guessed(gate_parts: GateParts) -> None:
    async with client_of(POLICY, dataclasses.replace(gate_parts, limits=Unreachable())) as client:
        with structlog.testing.capture_logs() as logs:
            answer = await client.get("/api/x")
            refused = [await client.post("/api/login"), await client.put("/api/password")]
    assert answer.status_code == 200
    assert "x-ratelimit-limit" not in answer.headers
    assert [(each.status_code, each.json()["code"]) for each in refused] == [(503, "feature_unavailable")] * 2
    assert "request not counted" in [line["event"] for line in logs]


async def test_limits_can_be_off(gate_parts: GateParts) -> None:
    async with client_of(POLICY, dataclasses.replace(gate_parts, limits=None)) as client:
        answers = [await client.get("/api/x") for _ in range(6)]
    assert {a.status_code for a in answers} == {200}


async def test_a_body_that_says_it_is_too_large_is_refused_unread(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/read", content=b"x" * 1001)
    assert answer.status_code == 413
    assert answer.json()["details"] == {"max_bytes": 1000}
    assert (await client.post("/read", content=b"x" * 1000)).text == "1000"


async def test_a_body_of_unknown_length_is_cut_off_where_it_is_too_much(client: httpx2.AsyncClient) -> None:
    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b"x" * 100

    answer = await client.post("/read", content=pieces())
    assert answer.status_code == 413


async def test_a_route_that_streams_its_body_has_its_own_limit(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/upload", content=b"x" * 5000)).text == "5000"


async def test_a_content_length_that_is_no_number_is_refused(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/read", headers={"Content-Length": "ten"}, content=b"")).status_code == 400


async def test_a_failure_is_rendered_in_the_surfaces_shape(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/invalid", headers={"X-Request-ID": "r-7"})
    assert answer.status_code == 400
    assert answer.json() == {
        "type": "urn:cloudyard:error:invalid_input",
        "title": "Bad Request",
        "status": 400,
        "detail": "That is wrong.",
        "instance": "urn:cloudyard:request:r-7",
        "code": "invalid_input",
        "request_id": "r-7",
        "errors": [{"field": "colour", "message": "That is wrong."}],
        "details": {"given": "green"},
    }


@pytest.mark.parametrize("path", ["/internal", "/bug"])
async def test_our_own_failures_are_logged_and_not_told(client: httpx2.AsyncClient, path: str) -> None:
    with structlog.testing.capture_logs() as logs:
        answer = await client.get(path, headers={"X-Request-ID": "r-8"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "r-8" in answer.json()["instance"]
    failures = [line for line in logs if line["event"] == "request failed"]
    assert len(failures) == 1
    assert "the secret inside" in str(failures[0]["exc_info"])


async def test_what_is_for_operators_is_logged_and_not_told(client: httpx2.AsyncClient) -> None:
    with structlog.testing.capture_logs() as logs:
        answer = await client.get("/kept-back")
    assert (answer.status_code, answer.json()["detail"]) == (503, "It is away.")
    assert "10.0.0.7" not in answer.text
    assert [line["reason"] for line in logs if line["event"] == "request failed"] == ["It is away. (at 10.0.0.7)"]


async def test_an_answer_that_breaks_off_is_not_ended_as_if_it_were_whole(gate_parts: GateParts) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/breaks", "scheme": "http", "client": None, "headers": []}
    with structlog.testing.capture_logs() as logs:
        await Gate(app, POLICY, ProblemRenderer(), gate_parts)({**scope, "query_string": b""}, receive, send)
    assert sent == ["http.response.start"]
    assert [line["event"] for line in logs] == ["request failed", "request"]


async def test_one_line_a_request_says_what_happened_and_no_secret(
    client: httpx2.AsyncClient, session: TokenPair
) -> None:
    with structlog.testing.capture_logs() as logs:
        await client.get("/me?token=hush", headers=bearer("garbage"))
    (line,) = [line for line in logs if line["event"] == "request"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/probe/me", 401)
    assert line["code"] == "invalid_token"
    assert line["client"] == "203.0.113.1"
    assert line["ms"] >= 0
    assert "hush" not in str(line)
    assert "garbage" not in str(line)


async def test_requests_are_measured_by_route(client: httpx2.AsyncClient, gate_parts: GateParts) -> None:
    await client.get("/x")
    labels = {"surface": "probe", "route": "/x", "method": "GET", "status": "2xx"}
    assert gate_parts.metrics.registry.get_sample_value("cloudyard_http_requests_total", labels) == 1


async def test_browsers_of_allowed_origins_may_call_and_read_errors(client: httpx2.AsyncClient) -> None:
    origin = {"Origin": "https://app.example"}
    preflight = await client.options(
        "/api/x",
        headers={**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"},
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://app.example"
    assert "x-api-key" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["x-request-id"]
    for path in ("/x", "/me"):
        answer = await client.get(path, headers=origin)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert "X-RateLimit-Remaining" in answer.headers["access-control-expose-headers"]


async def test_browsers_of_other_origins_may_not(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/x", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
    preflight = await client.options(
        "/x", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 400


async def test_any_origin_means_without_cookies(gate_parts: GateParts) -> None:
    async with client_of(POLICY, dataclasses.replace(gate_parts, cors_origins=("*",))) as client:
        answer = await client.get("/x", headers={"Origin": "https://any.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


async def test_the_callers_trace_is_known_inside(gate_parts: GateParts) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    seen: list[dict[str, str]] = []

    async def outgoing(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(gate_parts.tracing.outgoing_headers())
        await app(scope, receive, send)

    gate = Gate(outgoing, POLICY, ProblemRenderer(), gate_parts)
    transport = httpx2.ASGITransport(app=gate)
    async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
        await client.get("/x", headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
        await client.get("/x")
    assert seen == [{"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}, {}]
