"""What interrupts a call, and what is charged then: the table of the design, for every endpoint that runs a model."""

import asyncio
import json
from typing import Any

import httpx2
import pytest
from openai_stack import NANOS_PER_TOKEN, Caller, Stack

from cloudyard.domains.inference.metering import TOKENS_A_MESSAGE, TOKENS_A_TEMPLATE
from cloudyard.testing.upstream import PIECES, Behaviour

PROMPT = "one two three"
MOST_PROMPT_TOKENS = len(PROMPT) + TOKENS_A_MESSAGE + TOKENS_A_TEMPLATE
ENDPOINTS: dict[str, dict[str, Any]] = {
    "/chat/completions": {"model": "parrot", "messages": [{"role": "user", "content": PROMPT}]},
    "/completions": {"model": "parrot", "prompt": PROMPT},
    "/responses": {"model": "parrot", "input": PROMPT},
    "/embeddings": {"model": "vectors", "input": PROMPT},
}
GENERATING = [path for path in ENDPOINTS if path != "/embeddings"]
SOON = 0.5

every_endpoint = pytest.mark.parametrize("path", ENDPOINTS)
every_generating = pytest.mark.parametrize("path", GENERATING)


@every_endpoint
@pytest.mark.parametrize("behaviour", [Behaviour(status=500), Behaviour(break_after=0), Behaviour(malformed=True)])
async def test_a_failure_before_the_answer_costs_nothing(
    stack: Stack, caller: Caller, path: str, behaviour: Behaviour
) -> None:
    stack.upstream.behave(behaviour)
    response = await caller.client.post(path, json=ENDPOINTS[path])
    assert response.status_code == 502
    error = response.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("server_error", "provider_unavailable", None)
    assert await stack.spent(caller) == 0


@every_generating
@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(status=500),
        Behaviour(break_after=0),
        Behaviour(break_after=0, malformed=True),
        Behaviour(break_after=0, announced_error=True),
    ],
)
async def test_a_failure_before_the_first_piece_of_a_stream_is_an_error_as_usual(
    stack: Stack, caller: Caller, path: str, behaviour: Behaviour
) -> None:
    stack.upstream.behave(behaviour)
    response = await caller.client.post(path, json={**ENDPOINTS[path], "stream": True})
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "provider_unavailable"
    assert await stack.spent(caller) == 0


@every_endpoint
async def test_a_failure_that_passes_is_not_noticed(stack: Stack, caller: Caller, path: str) -> None:
    stack.upstream.behave(Behaviour(status=500), Behaviour())
    response = await caller.client.post(path, json=ENDPOINTS[path])
    assert response.status_code == 200
    assert len(stack.upstream.calls) == 2
    assert await stack.spent(caller) == (3 if path == "/embeddings" else 10)


async def test_what_the_provider_refuses_is_told_and_costs_nothing(stack: Stack, caller: Caller) -> None:
    stack.upstream.behave(Behaviour(status=422))
    response = await caller.client.post("/chat/completions", json=ENDPOINTS["/chat/completions"])
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "provider_refused")
    assert "scripted 422" in error["message"]
    assert len(stack.upstream.calls) == 1
    assert await stack.spent(caller) == 0


async def test_a_provider_that_is_overloaded_tells_when_to_come_back(stack: Stack, caller: Caller) -> None:
    stack.upstream.behave(Behaviour(status=429, retry_after=7))
    response = await caller.client.post("/chat/completions", json=ENDPOINTS["/chat/completions"])
    assert response.status_code == 502
    assert response.headers["retry-after"] == "7"


@every_generating
@pytest.mark.parametrize("announced", [True, False])
async def test_a_provider_that_breaks_off_is_an_event_and_what_came_is_charged(
    stack: Stack, caller: Caller, path: str, announced: bool
) -> None:
    go_on = asyncio.Event()  # once everything came: a connection that breaks may take with it what is on its way
    stack.upstream.behave(Behaviour(break_after=4, announced_error=announced, held=go_on, held_after=4))
    told = ""
    async with caller.client.stream("POST", path, json={**ENDPOINTS[path], "stream": True}) as response:
        assert response.status_code == 200
        async for text in response.aiter_text():
            told += text
            if PIECES[3] in told:
                go_on.set()
    assert "[DONE]" not in told and "scripted" not in told
    last = json.loads(told.strip().split("\n\n")[-1].split("data: ")[1])
    if path == "/responses":
        assert last["type"] == "response.failed"
        assert last["response"]["status"] == "failed"
        assert last["response"]["error"]["code"] == "server_error"
        assert last["response"]["output"][0]["content"][0]["text"] == "".join(PIECES[:4])
    else:
        assert last["error"]["type"] == "server_error"
        assert last["error"]["code"] == "provider_unavailable"
    [usage] = await stack.services.billing.usage(caller.user_id, limit=10)
    assert usage.outcome == "provider_failed"
    delivered = -(-len("".join(PIECES[:4])) // 4)
    assert usage.quantities == {"input_token": -(-len(PROMPT) // 4), "output_token": delivered}
    assert await stack.spent(caller) == sum(usage.quantities.values())


@every_generating
async def test_a_provider_that_breaks_off_before_the_first_token_is_not_paid(
    stack: Stack, caller: Caller, path: str
) -> None:
    stack.upstream.behave(Behaviour(pieces=["", "too late"], break_after=1))
    response = await caller.client.post(path, json={**ENDPOINTS[path], "stream": True})
    assert response.status_code == 200
    assert "provider" in response.text
    assert "[DONE]" not in response.text
    assert await stack.spent(caller) == 0


@every_endpoint
async def test_a_provider_that_reports_no_usage_is_charged_by_estimate(stack: Stack, caller: Caller, path: str) -> None:
    stack.upstream.behave(Behaviour(usage=False))
    assert (await caller.client.post(path, json=ENDPOINTS[path])).status_code == 200
    [usage] = await stack.services.billing.usage(caller.user_id, limit=10)
    assert usage.details["estimated"] is True
    assert usage.quantities["input_token"] == -(-len(PROMPT) // 4)
    assert await stack.spent(caller) == sum(usage.quantities.values())


async def test_a_provider_that_reports_too_much_is_paid_no_more_than_was_held(stack: Stack, caller: Caller) -> None:
    stack.upstream.behave(Behaviour(reported={"prompt_tokens": 3, "completion_tokens": 10**6, "total_tokens": 10**6}))
    body = {**ENDPOINTS["/chat/completions"], "max_tokens": 20}
    assert (await caller.client.post("/chat/completions", json=body)).status_code == 200
    assert 3 < await stack.spent(caller) <= 20 + MOST_PROMPT_TOKENS


@every_generating
async def test_a_client_that_leaves_while_it_waits_stops_the_model_and_pays_nothing(
    stack: Stack, caller: Caller, path: str
) -> None:
    stack.upstream.behave(Behaviour(first_after=30))
    asking = asyncio.create_task(caller.client.post(path, json=ENDPOINTS[path]))
    call = await stack.upstream.next_call()
    await asyncio.sleep(0.3)  # long enough to be watched for
    asking.cancel()
    await asyncio.wait_for(call.ended.wait(), SOON)
    assert call.outcome == "abandoned"
    await _settled(stack)
    assert await stack.spent(caller) == 0


@every_generating
async def test_a_client_that_leaves_at_once_stops_the_model_and_pays_nothing(
    stack: Stack, caller: Caller, path: str
) -> None:
    stack.upstream.behave(Behaviour(first_after=30))
    asking = asyncio.create_task(caller.client.post(path, json=ENDPOINTS[path]))
    call = await stack.upstream.next_call()
    asking.cancel()
    await asyncio.wait_for(call.ended.wait(), SOON)
    await _settled(stack)
    assert await stack.spent(caller) == 0


@every_generating
async def test_a_client_that_leaves_before_the_first_piece_pays_nothing(
    stack: Stack, caller: Caller, path: str
) -> None:
    stack.upstream.behave(Behaviour(first_after=30))
    asking = asyncio.create_task(caller.client.post(path, json={**ENDPOINTS[path], "stream": True}))
    call = await stack.upstream.next_call()
    asking.cancel()
    await asyncio.wait_for(call.ended.wait(), SOON)
    await _settled(stack)
    assert await stack.spent(caller) == 0


@every_generating
async def test_a_client_that_leaves_in_mid_stream_pays_for_what_was_generated(
    stack: Stack, caller: Caller, path: str
) -> None:
    stack.upstream.behave(Behaviour(pieces=["word "] * 90, pause=0.05))
    body = {**ENDPOINTS[path], "stream": True}
    async with caller.client.stream("POST", path, json=body) as response:
        received = await _pieces_of(response, 3)
    call = stack.upstream.calls[0]
    await asyncio.wait_for(call.ended.wait(), SOON)
    assert call.outcome == "abandoned"
    assert received <= call.pieces_sent < 20
    await _settled(stack)
    [usage] = await stack.services.billing.usage(caller.user_id, limit=10)
    assert usage.outcome == "client_left"
    delivered = -(-len("word ") * call.pieces_sent // 4)
    assert 0 < usage.quantities["output_token"] <= delivered
    assert await stack.spent(caller) == sum(usage.quantities.values())


async def test_a_hundred_calls_on_credit_for_ten(stack: Stack) -> None:
    """What the wallet can pay is served and no more, and nothing is left held."""
    body = {**ENDPOINTS["/chat/completions"], "max_tokens": 7}
    most = MOST_PROMPT_TOKENS + 7
    caller = await stack.caller(nanos=10 * most * NANOS_PER_TOKEN)
    stack.upstream.behave(Behaviour(pause=0.05))
    client = await stack.client(caller.key, connections=100)
    answers = await asyncio.gather(*(client.post("/chat/completions", json=body) for _ in range(100)))
    served = [answer for answer in answers if answer.status_code == 200]
    refused = [answer.json()["error"]["code"] for answer in answers if answer.status_code == 402]
    assert len(served) + len(refused) == 100
    assert set(refused) == {"insufficient_quota"}
    assert len(served) >= 10
    wallet = await stack.services.ledger.wallet(caller.user_id)
    assert (wallet.held, wallet.available) == (0, (10 * most - 10 * len(served)) * NANOS_PER_TOKEN)
    assert wallet.available >= 0


async def _pieces_of(response: httpx2.Response, number: int) -> int:
    received = 0
    async for line in response.aiter_lines():
        received += "word" in line
        if received == number:
            break
    return received


async def _settled(stack: Stack) -> None:
    """Wait until no charge is open; the caller has left and hears of nothing."""
    async with asyncio.timeout(SOON):
        while stack.services.charges.running:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.005)


SENSELESS = [
    b"[]",
    b"{}",
    b'{"choices": []}',
    b'{"choices": {"0": 1}}',
    b'{"choices": [null], "data": [null]}',
    b'{"choices": ["text"], "data": ["text"]}',
    b'{"choices": [{"message": "text"}], "data": [{"embedding": {}}]}',
    b'{"choices": [{"message": {"content": 5}}], "data": [{"embedding": 5}]}',
    b'{"choices": [{"message": {"tool_calls": [null]}}], "data": [{}]}',
    b'{"choices": [{"message": {"tool_calls": 5}}], "data": [{"embedding": ["a"]}]}',
]


@every_endpoint
@pytest.mark.parametrize("garbage", SENSELESS)
async def test_an_answer_of_no_sense_costs_nothing(stack: Stack, caller: Caller, path: str, garbage: bytes) -> None:
    stack.upstream.behave(Behaviour(malformed=True, garbage=garbage))
    response = await caller.client.post(path, json=ENDPOINTS[path])
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "provider_unavailable"
    assert await stack.spent(caller) == 0


@every_generating
@pytest.mark.parametrize("keyed", [False, True])
async def test_a_piece_of_no_sense_ends_a_stream(stack: Stack, caller: Caller, path: str, keyed: bool) -> None:
    for number, garbage in enumerate([b"[]", b'{"choices": [null]}', b'{"choices": [{"delta": "x", "text": 5}]}']):
        stack.upstream.behave(Behaviour(break_after=2, malformed=True, garbage=garbage))
        headers = {"Idempotency-Key": str(number)} if keyed else {}
        response = await caller.client.post(path, json={**ENDPOINTS[path], "stream": True}, headers=headers)
        last = json.loads(response.text.strip().split("\n\n")[-1].split("data: ")[1])
        assert "error" in last or last["type"] == "response.failed"
        assert await stack.spent(caller) == 7 * (number + 1)  # estimated: 4 of the prompt, 3 delivered
