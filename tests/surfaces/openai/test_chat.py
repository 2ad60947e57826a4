"""POST /chat/completions, whole and streamed, as any client sees it."""

import json
from typing import Any

import pytest
from openai_stack import Caller, Stack

from cloudyard.testing.upstream import CREATED, PIECES, Behaviour

TEXT = "".join(PIECES)
BODY: dict[str, Any] = {"model": "parrot", "messages": [{"role": "user", "content": "one two three"}], "max_tokens": 50}
PROMPT_TOKENS = 3


def events_of(body: str) -> list[Any]:
    """The data of each event; the last one as text."""
    *events, rest = body.split("\n\n")
    assert rest == ""
    assert all(event.startswith("data: ") for event in events)
    data = [event.removeprefix("data: ") for event in events]
    return [piece if piece == "[DONE]" else json.loads(piece) for piece in data]


async def test_a_whole_answer_with_usage_cost_and_headers(stack: Stack, caller: Caller) -> None:
    response = await caller.client.post("/chat/completions", json=BODY, headers={"X-Request-Id": "mine-1"})
    assert response.status_code == 200
    answer = response.json()
    assert answer == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": CREATED,
        "model": "parrot",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 7, "total_tokens": 10, "cost": 0.01},
    }
    headers = response.headers
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"] == "mine-1"
    assert headers["x-cloudyard-model"] == "parrot"
    assert int(headers["openai-processing-ms"]) >= 0
    assert headers["x-ratelimit-limit-requests"] == "300000"
    assert headers["x-ratelimit-remaining-requests"] == "299999"
    assert headers["x-ratelimit-reset-requests"].endswith("s")
    assert headers["x-ratelimit-limit-tokens"] == "60000000"
    assert headers["x-ratelimit-remaining-tokens"] == "59999950"
    assert await stack.spent(caller) == 10


async def test_an_alias_keeps_its_name_and_the_header_tells_who_answered(stack: Stack, caller: Caller) -> None:
    response = await caller.client.post("/chat/completions", json={**BODY, "model": "gpt-4"})
    assert response.json()["model"] == "gpt-4"
    assert response.headers["x-cloudyard-model"] == "parrot"
    assert stack.upstream.calls[0].body["model"] == "parrot"
    [usage] = await stack.services.billing.usage(caller.user_id, limit=10)
    assert usage.details["requested_model"] == "gpt-4"
    assert usage.details["served_model"] == "parrot"
    assert usage.details["surface"] == "openai"
    assert usage.details["request_id"] == response.headers["x-request-id"]


async def test_fields_that_nobody_knows_do_not_reach_the_model(stack: Stack, caller: Caller) -> None:
    given = {**BODY, "user": "ada", "cache_prompt": False, "n_predict": -1, "seed": 7, "stop": ["x"]}
    assert (await caller.client.post("/chat/completions", json=given)).status_code == 200
    sent = stack.upstream.calls[0].body
    assert sent["seed"] == 7
    assert sent["stop"] == ["x"]
    assert not {"user", "cache_prompt", "n_predict"} & sent.keys()


async def test_a_stream_in_pieces(stack: Stack, caller: Caller) -> None:
    response = await caller.client.post("/chat/completions", json={**BODY, "stream": True})
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-cloudyard-model"] == "parrot"
    *chunks, done = events_of(response.text)
    assert done == "[DONE]"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == TEXT
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * len(PIECES) + ["stop"]
    assert {(chunk["object"], chunk["model"]) for chunk in chunks} == {("chat.completion.chunk", "parrot")}
    assert all("usage" not in chunk for chunk in chunks)
    assert await stack.spent(caller) == 10


async def test_a_stream_with_usage(stack: Stack, caller: Caller) -> None:
    wanted = {**BODY, "model": "gpt-4", "stream": True, "stream_options": {"include_usage": True}}
    response = await caller.client.post("/chat/completions", json=wanted)
    *chunks, last, done = events_of(response.text)
    assert done == "[DONE]"
    assert [chunk["usage"] for chunk in chunks] == [None] * len(chunks)
    assert last == {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": "gpt-4",
        "choices": [],
        "usage": {"prompt_tokens": 3, "completion_tokens": 7, "total_tokens": 10, "cost": 0.01},
    }


async def test_a_stream_of_a_tool_call(stack: Stack, caller: Caller) -> None:
    stack.upstream.behave(Behaviour(tool_call=("weather", '{"city":"Paris"}')))
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    response = await caller.client.post("/chat/completions", json={**BODY, "stream": True, "tools": tools})
    *chunks, _done = events_of(response.text)
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert calls[0]["function"]["name"] == "weather"
    assert "".join(call["function"]["arguments"] for call in calls) == '{"city":"Paris"}'
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_text_completions_whole_and_streamed(stack: Stack, caller: Caller) -> None:
    body = {"model": "parrot", "prompt": "one two", "max_tokens": 3}
    whole = (await caller.client.post("/completions", json=body)).json()
    assert whole["object"] == "text_completion"
    assert whole["choices"] == [{"index": 0, "text": "The capital of", "finish_reason": "length"}]
    assert whole["usage"]["total_tokens"] == 5
    streamed = await caller.client.post(
        "/completions", json={**body, "stream": True, "stream_options": {"include_usage": True}}
    )
    *chunks, last, done = events_of(streamed.text)
    assert done == "[DONE]"
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "The capital of"
    assert last["usage"]["total_tokens"] == 5
    assert await stack.spent(caller) == 10


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_only_post_is_taken(caller: Caller, method: str) -> None:
    response = await caller.client.request(method, "/chat/completions")
    assert response.status_code == 405
    assert response.json()["error"]["code"] == "method_not_allowed"


async def test_browsers_of_configured_origins_only(caller: Caller) -> None:
    response = await caller.client.post("/chat/completions", json=BODY, headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in response.headers
