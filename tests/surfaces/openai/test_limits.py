"""Credit, spend caps, requests and tokens a minute, scopes and models of a key."""

import pytest
from openai_stack import NANOS_PER_TOKEN, Caller, Stack
from test_interruptions import ENDPOINTS

from cloudyard.domains.identity import UserStatus
from cloudyard.foundation.limiting import Verdict
from cloudyard.surfaces.openai.policy import duration, token_headers
from cloudyard.testing.upstream import Behaviour

CHAT = ENDPOINTS["/chat/completions"]

every_endpoint = pytest.mark.parametrize("path", ENDPOINTS)


@every_endpoint
async def test_without_credit_nothing_is_served(stack: Stack, path: str) -> None:
    caller = await stack.caller(nanos=0)
    response = await caller.client.post(path, json=ENDPOINTS[path])
    assert response.status_code == 402
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    assert stack.upstream.calls == []


async def test_a_key_spends_no_more_than_its_cap(stack: Stack) -> None:
    caller = await stack.caller(spend_cap_nanos=105 * NANOS_PER_TOKEN)
    body = {**CHAT, "max_tokens": 7}
    statuses = [(await caller.client.post("/chat/completions", json=body)) for _ in range(4)]
    assert [response.status_code for response in statuses] == [200, 200, 402, 402]
    error = statuses[-1].json()["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "billing_hard_limit_reached")
    assert await stack.spent(caller) == 20


@every_endpoint
async def test_requests_a_minute_of_a_key(stack: Stack, path: str) -> None:
    caller = await stack.caller(requests_per_minute=2)
    first, second, third = [await caller.client.post(path, json=ENDPOINTS[path]) for _ in range(3)]
    assert (first.status_code, second.status_code, third.status_code) == (200, 200, 429)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert third.headers["x-ratelimit-remaining-requests"] == "0"
    error = third.json()["error"]
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    assert 1 <= int(third.headers["retry-after"]) <= 60
    assert third.headers["x-ratelimit-reset-requests"] in ("1m0s", *(f"{s}s" for s in range(50, 61)))


async def test_tokens_a_minute_of_a_key(stack: Stack) -> None:
    caller = await stack.caller(tokens_per_minute=100)
    body = {**CHAT, "max_tokens": 40}
    first, second, third = [await caller.client.post("/chat/completions", json=body) for _ in range(3)]
    assert (first.status_code, second.status_code, third.status_code) == (200, 200, 429)
    assert first.headers["x-ratelimit-limit-tokens"] == "100"
    assert first.headers["x-ratelimit-remaining-tokens"] == "60"
    assert second.headers["x-ratelimit-remaining-tokens"] == "20"
    error = third.json()["error"]
    assert (error["type"], error["code"]) == ("tokens", "rate_limit_exceeded")
    assert "about 40, 20 of 100" in error["message"]
    assert int(third.headers["retry-after"]) >= 1
    assert len(stack.upstream.calls) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_used_more_than_was_expected_is_made_up_for(stack: Stack, stream: bool) -> None:
    caller = await stack.caller(tokens_per_minute=100)
    stack.upstream.behave(Behaviour(reported={"prompt_tokens": 3, "completion_tokens": 90, "total_tokens": 93}))
    first = await caller.client.post("/chat/completions", json={**CHAT, "stream": stream})
    assert first.headers["x-ratelimit-remaining-tokens"] == "96"
    second = await caller.client.post("/chat/completions", json={**CHAT, "max_tokens": 10})
    assert second.status_code == 429
    assert "7 of 100" in second.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_no_more_is_made_up_for_than_a_call_could_use(stack: Stack, stream: bool) -> None:
    caller = await stack.caller(tokens_per_minute=1000)
    absurd = {"prompt_tokens": 10**12, "completion_tokens": 10**12, "total_tokens": 2 * 10**12}
    stack.upstream.behave(Behaviour(reported=absurd))
    question = {**CHAT, "max_tokens": 40}
    first, second = [
        await caller.client.post("/chat/completions", json={**question, "stream": stream}) for _ in range(2)
    ]
    assert (first.status_code, second.status_code) == (200, 200)
    assert int(second.headers["x-ratelimit-remaining-tokens"]) > 700


async def test_a_call_larger_than_the_limit_is_told_so(stack: Stack) -> None:
    caller = await stack.caller(tokens_per_minute=100)
    response = await caller.client.post("/chat/completions", json={**CHAT, "max_tokens": 101})
    assert response.status_code == 429
    assert response.json()["error"]["message"].startswith("Request too large")
    assert "retry-after" not in response.headers


@pytest.mark.parametrize(("path", "method"), [*((path, "POST") for path in ENDPOINTS), ("/models", "GET")])
@pytest.mark.parametrize("key", [None, "nk_" + "0" * 32, "sk-whatever", "a.b.c"])
async def test_nobody_and_strangers_are_refused(stack: Stack, path: str, method: str, key: str | None) -> None:
    client = await stack.client(key)
    response = await client.request(method, path, json=ENDPOINTS.get(path))
    assert response.status_code == 401
    error = response.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_api_key", None)
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["x-request-id"]
    assert stack.upstream.calls == []


async def test_a_suspended_user_is_refused(stack: Stack, caller: Caller) -> None:
    await stack.services.users.set_status(caller.user_id, UserStatus.SUSPENDED)
    response = await caller.client.post("/chat/completions", json=CHAT)
    assert response.status_code in (401, 403)
    assert await stack.spent(caller) == 0


@every_endpoint
async def test_a_key_without_the_scope_is_refused(stack: Stack, path: str) -> None:
    caller = await stack.caller(scopes=["files"])
    response = await caller.client.post(path, json=ENDPOINTS[path])
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "scope_missing"
    assert await stack.spent(caller) == 0


async def test_a_key_calls_its_models_only(stack: Stack) -> None:
    caller = await stack.caller(allowed_models=["vectors"])
    refused = await caller.client.post("/chat/completions", json=CHAT)
    assert refused.status_code == 403
    error = refused.json()["error"]
    assert (error["code"], error["param"]) == ("model_not_allowed", "model")
    assert (await caller.client.post("/embeddings", json=ENDPOINTS["/embeddings"])).status_code == 200
    assert await stack.spent(caller) == 3


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-3, "0s"), (0, "0s"), (1, "1s"), (60, "1m0s"), (360, "6m0s"), (3725, "1h2m5s")]
)
def test_durations_as_openai_writes_them(seconds: int, shown: str) -> None:
    assert duration(seconds) == shown


def test_headers_of_a_verdict() -> None:
    verdict = Verdict(allowed=True, limit=1000, remaining=960, reset_at=1_000_090, retry_after=0)
    assert token_headers(verdict, 1_000_000.7) == [
        (b"x-ratelimit-limit-tokens", b"1000"),
        (b"x-ratelimit-remaining-tokens", b"960"),
        (b"x-ratelimit-reset-tokens", b"1m29s"),
    ]
