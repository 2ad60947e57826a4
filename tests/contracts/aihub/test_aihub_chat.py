"""MCP Endpoints of the document, with a real model and a ledger that is read afterwards."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aihub_people import Person, build, new_person, settings_for, stranger

from cloudyard.foundation.limiting import Limit, Verdict
from cloudyard.testing.installation import Installation, install_models, installation

MODEL = "smollm2-135m"
HELLO: dict[str, Any] = {
    "model": MODEL,
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "Hello, how are you?"},
    ],
    "maxTokens": 16,
    "temperature": 0.7,
    "stream": False,
}
STORY = {**HELLO, "messages": [{"role": "user", "content": "Write a very long story."}], "maxTokens": 900}
PATH = "/api/mcp/chat/completions"


@pytest.fixture(scope="module")
def chat_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    data_dir: Path = tmp_path_factory.mktemp("aihub-chat")
    install_models(data_dir)
    settings = settings_for(data_dir)
    settings.inference.aliases = {"gpt-4": MODEL}
    with installation(settings, build) as running:
        yield running


@pytest.fixture
def caller(chat_server: Installation) -> Iterator[httpx2.Client]:
    with stranger(chat_server) as client:
        client.timeout = httpx2.Timeout(60)
        yield client


@pytest.fixture
def bob(chat_server: Installation) -> Person:
    return new_person(chat_server)


def wallet(server: Installation, person: Person) -> tuple[int, int]:
    """What a person has left, and what is set aside."""
    found = server.run(server.services.ledger.wallet(person.id))
    return found.available, found.held


def nanos(usd: float) -> int:
    return round(usd * 1_000_000_000)


def error(answer: httpx2.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()
    assert found["success"] is False
    problem: dict[str, Any] = found["error"]
    return problem


def events(answer: httpx2.Response) -> list[str]:
    pieces = [piece for piece in answer.text.split("\n\n") if piece.startswith("data: ")]
    return [piece.removeprefix("data: ") for piece in pieces]


def settled(server: Installation, person: Person) -> tuple[int, int]:
    """The wallet, once nothing is set aside any more."""
    deadline = time.monotonic() + 20
    while wallet(server, person)[1] and time.monotonic() < deadline:
        time.sleep(0.05)
    return wallet(server, person)


def test_the_models_have_prices_and_capabilities(caller: httpx2.Client, bob: Person) -> None:
    answer = caller.get("/api/mcp/models", headers=bob.headers)
    assert answer.status_code == 200
    models = {model["id"]: model for model in answer.json()["data"]}
    assert models.keys() == {MODEL, "gpt-4"}
    assert models["gpt-4"] == {**models[MODEL], "id": "gpt-4"}
    assert models[MODEL].pop("description")
    assert models[MODEL] == {
        "id": MODEL,
        "name": MODEL,
        "provider": "huggingface",
        "pricing": {"inputTokens": 0.00000015, "outputTokens": 0.0000006},
        "capabilities": ["json_schema", "text"],
    }


def test_a_key_sees_the_models_that_it_may_use(caller: httpx2.Client, bob: Person, chat_server: Installation) -> None:
    keys = chat_server.services.api_keys
    _, secret = chat_server.run(keys.create(bob.id, name="narrow", allowed_models=["gpt-4"]))
    headers = {"X-API-Key": secret}
    assert [model["id"] for model in caller.get("/api/mcp/models", headers=headers).json()["data"]] == ["gpt-4"]
    refused = caller.post(PATH, json=HELLO, headers=headers)
    assert (refused.status_code, error(refused)["code"]) == (403, "AUTHORIZATION_FAILED")
    assert caller.post(PATH, json={**HELLO, "model": "gpt-4"}, headers=headers).status_code == 200


def test_a_completion_has_the_documents_fields_and_is_charged(
    caller: httpx2.Client, bob: Person, chat_server: Installation
) -> None:
    before, _ = wallet(chat_server, bob)
    answer = caller.post(PATH, json={**HELLO, "model": "gpt-4"}, headers=bob.headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-cloudyard-model"] == MODEL
    assert set(answer.json()) == {"success", "data", "meta"}
    assert answer.json()["meta"]["requestId"] == answer.headers["x-request-id"]
    data = answer.json()["data"]
    assert set(data) == {"id", "model", "choices", "usage", "cost"}
    assert data["id"]
    assert data["model"] == "gpt-4"
    (choice,) = data["choices"]
    assert set(choice) == {"index", "message", "finishReason"}
    assert (choice["index"], choice["message"]["role"]) == (0, "assistant")
    assert choice["message"]["content"]
    assert choice["finishReason"] in ("stop", "length")
    usage = data["usage"]
    assert usage["promptTokens"] > 0
    assert 0 < usage["completionTokens"] <= 16
    assert usage["totalTokens"] == usage["promptTokens"] + usage["completionTokens"]
    assert nanos(data["cost"]) == usage["promptTokens"] * 150 + usage["completionTokens"] * 600
    assert wallet(chat_server, bob) == (before - nanos(data["cost"]), 0)


def test_a_stream_has_the_text_in_pieces_then_usage_and_cost(
    caller: httpx2.Client, bob: Person, chat_server: Installation
) -> None:
    before, _ = wallet(chat_server, bob)
    answer = caller.post(PATH, json={**HELLO, "stream": True}, headers=bob.headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-cloudyard-model"] == MODEL
    *told, end = events(answer)
    assert end == "[DONE]"
    *chunks, last = [json.loads(each) for each in told]
    assert len(chunks) > 1
    assert all(set(chunk) == {"id", "model", "choices"} for chunk in chunks)
    assert all(set(chunk["choices"][0]) == {"index", "delta", "finishReason"} for chunk in chunks)
    assert len({chunk["id"] for chunk in [*chunks, last]}) == 1
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    reasons = [chunk["choices"][0]["finishReason"] for chunk in chunks]
    assert reasons[-1] in ("stop", "length")
    assert set(reasons[:-1]) == {None}
    assert set(last) == {"id", "model", "choices", "usage", "cost"}
    assert last["choices"] == []
    assert nanos(last["cost"]) == last["usage"]["promptTokens"] * 150 + last["usage"]["completionTokens"] * 600
    assert wallet(chat_server, bob) == (before - nanos(last["cost"]), 0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"messages": None}, 422, "VALIDATION_ERROR", "messages"),
        ({"messages": "Hello"}, 422, "VALIDATION_ERROR", "messages"),
        ({"messages": []}, 422, "VALIDATION_ERROR", "messages"),
        ({"messages": [{"role": "user", "content": "  "}]}, 422, "VALIDATION_ERROR", "messages"),
        ({"messages": [{"role": "king", "content": "Hi"}]}, 422, "VALIDATION_ERROR", "messages.0.role"),
        ({"messages": [{"role": "user", "content": 1}]}, 422, "VALIDATION_ERROR", "messages.0.content"),
        ({"maxTokens": "many"}, 422, "VALIDATION_ERROR", "maxTokens"),
        ({"maxTokens": 0}, 422, "VALIDATION_ERROR", "maxTokens"),
        ({"maxTokens": 10**9}, 422, "VALIDATION_ERROR", "maxTokens"),
        ({"temperature": 3}, 422, "VALIDATION_ERROR", "temperature"),
        ({"temperature": "hot"}, 422, "VALIDATION_ERROR", "temperature"),
        ({"model": ""}, 422, "VALIDATION_ERROR", "model"),
        ({"model": "no-such-model"}, 404, "RESOURCE_NOT_FOUND", "model"),
        ({"model": "all-minilm-l6-v2"}, 422, "VALIDATION_ERROR", "model"),
    ],
)
def test_a_bad_request_names_the_field_and_costs_nothing(
    caller: httpx2.Client,
    onlooking: Person,
    chat_server: Installation,
    change: dict[str, Any],
    status: int,
    code: str,
    field: str,
    stream: bool,
) -> None:
    before = wallet(chat_server, onlooking)
    answer = caller.post(PATH, json={**HELLO, "stream": stream, **change}, headers=onlooking.headers)
    assert (answer.status_code, error(answer)["code"]) == (status, code), answer.text
    assert [detail["field"] for detail in error(answer)["details"]] == [field]
    assert wallet(chat_server, onlooking) == before


@pytest.fixture(scope="module")
def onlooking(chat_server: Installation) -> Person:
    """Somebody who is never charged."""
    return new_person(chat_server)


def test_nobody_chats_without_a_credential(caller: httpx2.Client) -> None:
    for answer in (caller.get("/api/mcp/models"), caller.post(PATH, json=HELLO)):
        assert (answer.status_code, error(answer)["code"]) == (401, "AUTHENTICATION_FAILED")


@pytest.mark.parametrize("stream", [False, True])
def test_who_cannot_pay_is_told_so(caller: httpx2.Client, bob: Person, chat_server: Installation, stream: bool) -> None:
    available, _ = wallet(chat_server, bob)
    chat_server.run(chat_server.services.ledger.adjust(bob.id, 1 - available, reason="emptied", actor=None))
    answer = caller.post(PATH, json={**HELLO, "stream": stream}, headers=bob.headers)
    assert (answer.status_code, error(answer)["code"]) == (402, "INSUFFICIENT_CREDITS")
    assert wallet(chat_server, bob) == (1, 0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_repeated_key_is_answered_again_and_charged_once(
    caller: httpx2.Client, bob: Person, chat_server: Installation, stream: bool
) -> None:
    headers = {**bob.headers, "Idempotency-Key": "chat-1"}
    first = caller.post(PATH, json={**HELLO, "stream": stream}, headers=headers)
    after_first = wallet(chat_server, bob)
    again = caller.post(PATH, json={**HELLO, "stream": stream}, headers=headers)
    assert first.status_code == again.status_code == 200
    assert first.text == again.text
    assert first.headers["content-type"] == again.headers["content-type"]
    assert again.headers["idempotency-replayed"] == "true"
    assert wallet(chat_server, bob) == after_first
    other = caller.post(PATH, json={**HELLO, "maxTokens": 3, "stream": stream}, headers=headers)
    assert other.status_code == 422


def test_a_reader_that_leaves_stops_the_model_and_pays_for_what_came(
    caller: httpx2.Client, bob: Person, chat_server: Installation
) -> None:
    before, _ = wallet(chat_server, bob)
    asked = {**STORY, "stream": True}
    headers = {**bob.headers, "Idempotency-Key": "left"}
    with caller.stream("POST", PATH, json=asked, headers=headers) as answer:
        assert next(answer.iter_lines()).startswith("data: ")
    after, held = settled(chat_server, bob)
    assert held == 0
    assert before - 900 * 600 < after < before
    again = caller.post(PATH, json=asked, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert "the caller left" in events(again)[-1]
    assert wallet(chat_server, bob) == (after, 0)


def test_a_client_that_leaves_before_the_whole_answer_pays_for_what_was_generated(
    caller: httpx2.Client, bob: Person, chat_server: Installation
) -> None:
    before, _ = wallet(chat_server, bob)
    left, key = before, ""
    for seconds in (1, 3, 6):  # until the model had time to say something
        key = f"left after {seconds}"
        with pytest.raises(httpx2.TimeoutException):
            caller.post(
                PATH, json=STORY, headers={**bob.headers, "Idempotency-Key": key}, timeout=httpx2.Timeout(seconds)
            )
        left, held = settled(chat_server, bob)
        assert held == 0
        if left < before:
            break
    assert left < before
    again = caller.post(PATH, json=STORY, headers={**bob.headers, "Idempotency-Key": key})
    assert (again.status_code, error(again)["code"]) == (502, "SERVICE_UNAVAILABLE")
    assert "the caller left" in error(again)["message"]
    assert wallet(chat_server, bob) == (left, 0)


@pytest.mark.parametrize("stream", [False, True])
def test_a_keys_tokens_a_minute_hold(
    caller: httpx2.Client, bob: Person, chat_server: Installation, stream: bool
) -> None:
    keys, limit = chat_server.services.api_keys, 300
    key, secret = chat_server.run(keys.create(bob.id, name="limited", tokens_per_minute=limit))
    headers = {"X-API-Key": secret}
    assert caller.post(PATH, json={**HELLO, "maxTokens": 90, "stream": stream}, headers=headers).status_code == 200
    left: Verdict = chat_server.run(chat_server.services.limits.peek(f"api-key:{key.id}:tokens", Limit(limit, 60)))
    assert left.remaining <= limit - 90
    refused = caller.post(PATH, json={**HELLO, "maxTokens": 250, "stream": stream}, headers=headers)
    assert (refused.status_code, error(refused)["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
