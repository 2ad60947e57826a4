"""The same key and body give the same answer, and cost once."""

import asyncio
from typing import Any

import pytest
from openai_stack import Caller, Stack
from test_interruptions import ENDPOINTS, GENERATING, SOON

from cloudyard.testing.upstream import Behaviour

KEY = {"Idempotency-Key": "the first"}

every_endpoint = pytest.mark.parametrize("path", ENDPOINTS)
every_generating = pytest.mark.parametrize("path", GENERATING)


def cost_of(path: str) -> int:
    return 3 if path == "/embeddings" else 10


@every_endpoint
async def test_a_repetition_gets_the_answer_of_the_first_time(stack: Stack, caller: Caller, path: str) -> None:
    first = await caller.client.post(path, json=ENDPOINTS[path], headers=KEY)
    again = await caller.client.post(path, json=ENDPOINTS[path], headers=KEY)
    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["x-cloudyard-model"] == first.headers["x-cloudyard-model"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert len(stack.upstream.calls) == 1
    assert await stack.spent(caller) == cost_of(path)


@every_generating
async def test_a_repeated_stream_has_the_same_events(stack: Stack, caller: Caller, path: str) -> None:
    body = {**ENDPOINTS[path], "stream": True}
    if path != "/responses":
        body["stream_options"] = {"include_usage": True}
    first = await caller.client.post(path, json=body, headers=KEY)
    again = await caller.client.post(path, json=body, headers=KEY)
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert len(stack.upstream.calls) == 1
    assert await stack.spent(caller) == 10


@every_endpoint
async def test_another_body_under_the_same_key_is_refused(stack: Stack, caller: Caller, path: str) -> None:
    await caller.client.post(path, json=ENDPOINTS[path], headers=KEY)
    response = await caller.client.post(path, json={**ENDPOINTS[path], "user": "ada"}, headers=KEY)
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "idempotency_key_reused"
    assert response.json()["error"]["param"] == "Idempotency-Key"
    assert await stack.spent(caller) == cost_of(path)


async def test_keys_of_others_and_of_other_endpoints_never_meet(stack: Stack, caller: Caller) -> None:
    other = await stack.caller()
    for client in (caller.client, other.client):
        for path, body in ENDPOINTS.items():
            assert (await client.post(path, json=body, headers=KEY)).status_code == 200
    assert len(stack.upstream.calls) == 8


@every_generating
@pytest.mark.parametrize("stream", [False, True])
async def test_while_the_first_is_in_flight_a_repetition_waits_outside(
    stack: Stack, caller: Caller, path: str, stream: bool
) -> None:
    stack.upstream.behave(Behaviour(first_after=0.5))
    body = {**ENDPOINTS[path], "stream": stream}
    asking = asyncio.create_task(caller.client.post(path, json=body, headers=KEY))
    await stack.upstream.next_call()
    early = await caller.client.post(path, json=body, headers=KEY)
    assert early.status_code == 409
    assert early.json()["error"]["code"] == "idempotency_key_in_flight"
    assert early.headers["retry-after"] == "1"
    first = await asking
    assert (await caller.client.post(path, json=body, headers=KEY)).content == first.content
    assert await stack.spent(caller) == 10


@every_endpoint
async def test_a_call_that_failed_may_be_made_again(stack: Stack, caller: Caller, path: str) -> None:
    stack.upstream.behave(Behaviour(status=500), Behaviour(status=500), Behaviour())
    assert (await caller.client.post(path, json=ENDPOINTS[path], headers=KEY)).status_code == 502
    assert (await caller.client.post(path, json=ENDPOINTS[path], headers=KEY)).status_code == 200
    assert await stack.spent(caller) == cost_of(path)


@every_generating
async def test_a_call_whose_client_left_unserved_may_be_made_again(stack: Stack, caller: Caller, path: str) -> None:
    stack.upstream.behave(Behaviour(first_after=30), Behaviour())
    asking = asyncio.create_task(caller.client.post(path, json=ENDPOINTS[path], headers=KEY))
    call = await stack.upstream.next_call()
    asking.cancel()
    await asyncio.wait_for(call.ended.wait(), SOON)
    again = await _once_free(caller, path, ENDPOINTS[path])
    assert again.status_code == 200
    assert await stack.spent(caller) == 10


@every_generating
async def test_a_stream_that_broke_off_is_repeated_as_it_was_and_not_charged_again(
    stack: Stack, caller: Caller, path: str
) -> None:
    stack.upstream.behave(Behaviour(break_after=3))
    body = {**ENDPOINTS[path], "stream": True}
    first = await caller.client.post(path, json=body, headers=KEY)
    spent = await stack.spent(caller)
    again = await caller.client.post(path, json=body, headers=KEY)
    assert first.text.split("\n\n")[:-2] == again.text.split("\n\n")[:-2]
    assert "model's provider broke off" in again.text.split("\n\n")[-2]
    assert len(stack.upstream.calls) == 1
    assert await stack.spent(caller) == spent > 0


@every_generating
async def test_a_stream_that_its_client_left_is_repeated_as_far_as_it_went(
    stack: Stack, caller: Caller, path: str
) -> None:
    stack.upstream.behave(Behaviour(pieces=["word "] * 90, pause=0.05))
    body = {**ENDPOINTS[path], "stream": True}
    async with caller.client.stream("POST", path, json=body, headers=KEY) as response:
        received = [line async for line in _until(response, 3)]
    await asyncio.wait_for(stack.upstream.calls[0].ended.wait(), SOON)
    again = await _once_free(caller, path, body)
    spent = await stack.spent(caller)
    assert again.status_code == 200
    assert [line for line in again.text.splitlines() if "word" in line][:3] == received
    assert "because the caller left" in again.text.split("\n\n")[-2]
    assert "[DONE]" not in again.text
    assert len(stack.upstream.calls) == 1
    assert spent > 0


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_that_is_none_is_refused(stack: Stack, caller: Caller, key: str) -> None:
    body = ENDPOINTS["/chat/completions"]
    response = await caller.client.post("/chat/completions", json=body, headers={"Idempotency-Key": key})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "Idempotency-Key"
    assert await stack.spent(caller) == 0


async def _until(response: Any, number: int) -> Any:
    seen = 0
    async for line in response.aiter_lines():
        if "word" in line:
            seen += 1
            yield line
        if seen == number:
            return


async def _once_free(caller: Caller, path: str, body: Any) -> Any:
    """Ask again until the first call is over: its client has left and hears of nothing."""
    async with asyncio.timeout(5):
        while True:
            response = await caller.client.post(path, json=body, headers=KEY)
            if response.status_code != 409:
                return response
            await asyncio.sleep(0.02)
