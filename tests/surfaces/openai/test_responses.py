"""The Responses API: stateless, continued, kept, streamed."""

import json
from typing import Any

import pytest
from openai_stack import Caller, Stack

from cloudyard.testing.upstream import PIECES, Behaviour

TEXT = "".join(PIECES)
BODY = {"model": "parrot", "input": "one two three"}
WEATHER = {"type": "function", "name": "weather", "description": "d", "parameters": {"type": "object"}, "strict": True}


async def ask(caller: Caller, **change: Any) -> dict[str, Any]:
    response = await caller.client.post("/responses", json={**BODY, **change})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def events(caller: Caller, **change: Any) -> list[dict[str, Any]]:
    """The events of a stream; each is named as its type says and numbered in order."""
    response = await caller.client.post("/responses", json={**BODY, "stream": True, **change})
    assert response.status_code == 200, response.text
    found = []
    for number, text in enumerate(response.text.strip().split("\n\n")):
        name, data = text.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        found.append(event)
    return found


async def test_a_response(stack: Stack, caller: Caller) -> None:
    response = await ask(caller, model="gpt-4", metadata={"for": "test"}, temperature=0.5)
    token = response["id"].removeprefix("resp_")
    assert response == {
        "id": f"resp_{token}",
        "object": "response",
        "created_at": response["created_at"],
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {"for": "test"},
        "model": "gpt-4",
        "output": [
            {
                "id": f"msg_{token}00",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}],
            }
        ],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": True,
        "temperature": 0.5,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": {
            "input_tokens": 3,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 10,
            "cost": 0.01,
        },
        "user": None,
    }
    assert await stack.spent(caller) == 10


async def test_what_reaches_the_model(stack: Stack, caller: Caller) -> None:
    form = {"type": "json_schema", "name": "city", "schema": {"type": "object"}, "strict": True}
    given = [
        {"role": "developer", "content": "short"},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "sun"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "rain"}]},
    ]
    await ask(
        caller,
        instructions="Be brief.",
        input=given,
        max_output_tokens=9,
        text={"format": form},
        tools=[WEATHER],
        tool_choice="auto",
        parallel_tool_calls=False,
    )
    sent = stack.upstream.calls[0].body

    def call(call_id: str) -> dict[str, Any]:
        return {"id": call_id, "type": "function", "function": {"name": "weather", "arguments": "{}"}}

    def parts(*texts: str) -> list[dict[str, str]]:
        return [{"type": "text", "text": text} for text in texts]

    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "short"},
        {"role": "user", "content": parts("a", "b")},
        {"role": "assistant", "tool_calls": [call("c1"), call("c2")]},
        {"role": "tool", "content": "sun", "tool_call_id": "c1"},
        {"role": "tool", "content": parts("rain"), "tool_call_id": "c2"},
    ]
    assert sent["max_tokens"] == 9
    assert sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "city", "schema": {"type": "object"}, "strict": True},
    }
    function = {name: value for name, value in WEATHER.items() if name != "type"}
    assert sent["tools"] == [{"type": "function", "function": function}]
    assert sent["parallel_tool_calls"] is False


async def test_what_was_asked_for_comes_back(caller: Caller) -> None:
    form = {"type": "json_schema", "name": "city", "schema": {"type": "object"}}
    response = await ask(caller, tools=[WEATHER], tool_choice="none", text={"format": form}, instructions="Brief.")
    assert response["tools"] == [WEATHER]
    assert response["tool_choice"] == "none"
    assert response["text"] == {"format": form}
    assert response["instructions"] == "Brief."


async def test_a_conversation_goes_on_without_old_instructions(stack: Stack, caller: Caller) -> None:
    first = await ask(caller, instructions="Old.")
    second = await ask(caller, input="and you?", previous_response_id=first["id"], instructions="New.")
    third = await ask(caller, input="well?", previous_response_id=second["id"])
    assert third["previous_response_id"] == second["id"]
    assert [message["content"] for message in stack.upstream.calls[1].body["messages"]] == [
        "New.",
        "one two three",
        TEXT,
        "and you?",
    ]
    assert [(message["role"], message["content"]) for message in stack.upstream.calls[2].body["messages"]] == [
        ("user", "one two three"),
        ("assistant", TEXT),
        ("user", "and you?"),
        ("assistant", TEXT),
        ("user", "well?"),
    ]


async def test_tool_calls_are_output_items_and_part_of_the_conversation(stack: Stack, caller: Caller) -> None:
    stack.upstream.behave(Behaviour(tool_call=("weather", '{"city":"Paris"}')), Behaviour())
    asked = await ask(caller, tools=[WEATHER])
    [item] = asked["output"]
    assert (item["type"], item["name"], item["arguments"]) == ("function_call", "weather", '{"city":"Paris"}')
    assert (item["call_id"], item["status"]) == ("call_1", "completed")
    result = {"type": "function_call_output", "call_id": "call_1", "output": "sun"}
    await ask(caller, input=[result], previous_response_id=asked["id"])
    said, given = stack.upstream.calls[1].body["messages"][-2:]
    assert said["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"Paris"}'}
    assert given == {"role": "tool", "content": "sun", "tool_call_id": "call_1"}


async def test_an_answer_that_was_cut_short(caller: Caller) -> None:
    response = await ask(caller, max_output_tokens=3)
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"
    *_, last = await events(caller, max_output_tokens=3)
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


async def test_a_response_is_kept_until_it_is_deleted(stack: Stack, caller: Caller) -> None:
    response = await ask(caller)
    path = f"/responses/{response['id']}"
    assert (await caller.client.get(path)).json() == response
    other = await stack.caller()
    assert (await other.client.get(path)).status_code == 404
    assert (await other.client.delete(path)).status_code == 404
    stolen = await other.client.post("/responses", json={**BODY, "previous_response_id": response["id"]})
    assert stolen.status_code == 404
    gone = await caller.client.delete(path)
    assert gone.json() == {"id": response["id"], "object": "response", "deleted": True}
    for method in ("GET", "DELETE"):
        missing = await caller.client.request(method, path)
        assert missing.status_code == 404
        assert missing.json()["error"]["code"] == "conversation_not_found"
        assert missing.json()["error"]["param"] == "response_id"
    assert await stack.spent(caller) == 10


async def test_a_response_that_is_not_to_be_kept(caller: Caller) -> None:
    response = await ask(caller, store=False)
    assert response["store"] is False
    assert (await caller.client.get(f"/responses/{response['id']}")).status_code == 404


@pytest.mark.parametrize("given", ["resp_" + "0" * 48, "resp_\x00", "nothing"])
async def test_what_cannot_be_continued(stack: Stack, caller: Caller, given: str) -> None:
    response = await caller.client.post("/responses", json={**BODY, "previous_response_id": given})
    assert response.status_code == 404
    assert response.json()["error"]["param"] == "previous_response_id"
    assert stack.upstream.calls == []
    assert await stack.spent(caller) == 0


async def test_the_events_of_a_stream(stack: Stack, caller: Caller) -> None:
    found = await events(caller)
    deltas = ["response.output_text.delta"] * len(PIECES)
    assert [event["type"] for event in found] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *deltas,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    created, _, added, part, *_ = found
    assert (created["response"]["status"], created["response"]["output"]) == ("in_progress", [])
    assert (added["item"]["status"], added["item"]["content"]) == ("in_progress", [])
    assert part["part"] == {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    assert [event["delta"] for event in found if "delta" in event] == list(PIECES)
    whole = found[-1]["response"]
    assert whole["status"] == "completed"
    assert whole["usage"]["total_tokens"] == 10
    assert whole["output"] == [found[-2]["item"]]
    assert whole["output"][0]["content"][0]["text"] == TEXT == found[-4]["text"]
    assert {event["item_id"] for event in found if "item_id" in event} == {whole["output"][0]["id"]}
    assert (await caller.client.get(f"/responses/{whole['id']}")).json() == whole
    assert await stack.spent(caller) == 10


async def test_the_events_of_a_streamed_tool_call(stack: Stack, caller: Caller) -> None:
    stack.upstream.behave(Behaviour(tool_call=("weather", '{"city":"Paris"}')))
    found = await events(caller, tools=[WEATHER])
    assert [event["type"] for event in found] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert found[2]["item"]["name"] == "weather"
    assert found[5]["arguments"] == '{"city":"Paris"}'
    assert found[-1]["response"]["output"] == [found[-2]["item"]]
    kept = await caller.client.get(f"/responses/{found[-1]['response']['id']}")
    assert kept.json()["output"][0]["arguments"] == '{"city":"Paris"}'


async def test_a_stream_that_says_nothing(stack: Stack, caller: Caller) -> None:
    stack.upstream.behave(Behaviour(pieces=[], reported={"prompt_tokens": 3, "completion_tokens": 0}))
    found = await events(caller)
    assert found[-1]["type"] == "response.completed"
    assert found[-1]["response"]["output"][0]["content"][0]["text"] == ""
    assert [event["type"] for event in found].count("response.output_item.added") == 1


async def test_a_streamed_conversation_goes_on(stack: Stack, caller: Caller) -> None:
    first = (await events(caller))[-1]["response"]
    await events(caller, input="and you?", previous_response_id=first["id"])
    assert [message["content"] for message in stack.upstream.calls[1].body["messages"]] == [
        "one two three",
        TEXT,
        "and you?",
    ]


async def test_a_response_that_failed_is_not_kept(stack: Stack, caller: Caller) -> None:
    stack.upstream.behave(Behaviour(break_after=2))
    last = (await events(caller))[-1]
    assert last["type"] == "response.failed"
    assert (await caller.client.get(f"/responses/{last['response']['id']}")).status_code == 404
