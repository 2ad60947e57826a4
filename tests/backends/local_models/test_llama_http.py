"""What Cloudyard relies on in the HTTP server of llama.cpp, checked against the real one."""

import base64
import json
import math
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from cloudyard.backends.local_models.llama_cpp import LlamaCppModels
from cloudyard.domains.inference.ports import Endpoint, LocalModel
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.workers import post

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/chat/completions"
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Lyon"]}, "people": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["city", "people"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def one_slot(chat_model: LocalModel) -> LocalModel:
    return replace(chat_model, name="one-slot", context_length=2048, slots=1)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def workers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LlamaCppModels]:
    models = LlamaCppModels(tmp_path_factory.mktemp("logs"), SystemClock(), SystemIds())
    yield models
    await models.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def chat(workers: LlamaCppModels, chat_model: LocalModel) -> AsyncIterator[Endpoint]:
    async with workers.lease(chat_model) as endpoint:
        yield endpoint


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def embed(workers: LlamaCppModels, embedding_model: LocalModel) -> AsyncIterator[Endpoint]:
    async with workers.lease(embedding_model) as endpoint:
        yield endpoint


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(workers: LlamaCppModels, one_slot: LocalModel, request: pytest.FixtureRequest) -> Endpoint:
    """A worker of its own with one slot, whose counters start at zero."""
    async with workers.lease(replace(one_slot, name=request.node.name)) as endpoint:
        return endpoint


async def events(endpoint: Endpoint, body: dict[str, Any]) -> AsyncIterator[dict[str, Any] | str]:
    """The events of a streamed answer; closing the iterator closes the connection."""
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(endpoint.base_url + CHAT, json={**body, "stream": True}) as answer,
    ):
        assert answer.status == 200, await answer.text()
        async for line in answer.content:
            if line.startswith(b"data: "):
                data = line.removeprefix(b"data: ").strip().decode()
                yield data if data == "[DONE]" else json.loads(data)


async def counters(endpoint: Endpoint) -> dict[str, float]:
    """The Prometheus counters and gauges of the worker."""
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    root = endpoint.base_url.removesuffix("/v1")
    async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{root}/metrics") as answer:
        lines = [line.split() for line in (await answer.text()).splitlines() if line.startswith("llamacpp:")]
    return {name.removeprefix("llamacpp:"): float(value) for name, value in lines}


async def ask(endpoint: Endpoint, **options: Any) -> dict[str, Any]:
    status, body = await post(endpoint, CHAT, {"messages": QUESTION, "max_tokens": 8, "temperature": 0, **options})
    assert status == 200, body
    return body


async def refused(endpoint: Endpoint, **options: Any) -> tuple[int, dict[str, Any]]:
    status, body = await post(endpoint, CHAT, {"messages": QUESTION, "max_tokens": 8, **options})
    return status, body["error"]


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


async def test_an_answer_names_the_model_and_counts_tokens(chat: Endpoint) -> None:
    body = await ask(chat)
    assert body["model"] == "chat"
    assert body["object"] == "chat.completion"
    assert body["usage"]["completion_tokens"] == 8
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + 8
    assert body["choices"][0]["finish_reason"] == "length"


async def test_a_stream_gives_the_same_text_piece_by_piece_and_the_usage_last(chat: Endpoint) -> None:
    body = {"messages": QUESTION, "max_tokens": 8, "temperature": 0, "stream_options": {"include_usage": True}}
    *chunks, usage, done = [event async for event in events(chat, body)]
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks)
    assert done == "[DONE]"
    assert len(chunks) > 5
    assert text == (await ask(chat))["choices"][0]["message"]["content"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 8)


async def test_a_stream_without_the_option_has_no_usage(chat: Endpoint) -> None:
    chunks = [event async for event in events(chat, {"messages": QUESTION, "max_tokens": 2})]
    assert chunks.pop() == "[DONE]"
    assert all(chunk["choices"] and "usage" not in chunk for chunk in chunks)


async def test_every_chunk_can_count_the_tokens_so_far(chat: Endpoint) -> None:
    body = {"messages": QUESTION, "max_tokens": 5, "timings_per_token": True}
    chunks = [event async for event in events(chat, body)][:-1]
    counts = [chunk["timings"] for chunk in chunks if "timings" in chunk]
    assert [count["predicted_n"] for count in counts] == sorted(count["predicted_n"] for count in counts)
    assert counts[-1]["predicted_n"] == 5
    assert len({count["cache_n"] + count["prompt_n"] for count in counts}) == 1


async def test_leaving_in_mid_stream_stops_the_generation(fresh: Endpoint) -> None:
    stream = events(fresh, {"messages": QUESTION, "max_tokens": 1900, "ignore_eos": True})
    for _ in range(5):
        await anext(stream)
    await stream.aclose()
    assert (await ask(fresh))["usage"]["completion_tokens"] == 8
    after = await counters(fresh)
    assert after["requests_processing"] == after["requests_deferred"] == 0
    assert after["tokens_predicted_total"] < 1000


async def test_leaving_while_the_prompt_is_read_stops_the_reading(fresh: Endpoint) -> None:
    long = [{"role": "user", "content": "hello world " * 950}]
    stream = events(fresh, {"messages": long, "max_tokens": 100, "ignore_eos": True, "return_progress": True})
    async for chunk in stream:
        assert chunk["prompt_progress"]["total"] > 1900
        if chunk["prompt_progress"]["processed"] > 0:
            break
    await stream.aclose()
    assert (await ask(fresh))["usage"]["completion_tokens"] == 8
    after = await counters(fresh)
    assert after["requests_processing"] == after["requests_deferred"] == 0
    assert after["prompt_tokens_total"] < 1000
    assert after["tokens_predicted_total"] == 8


async def test_a_schema_is_obeyed(chat: Endpoint) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
    body = await ask(chat, response_format=schema, max_tokens=100)
    answer = json.loads(body["choices"][0]["message"]["content"])
    assert answer["city"] in ("Paris", "Lyon")
    assert 0 <= answer["people"] <= 99
    assert set(answer) == {"city", "people"}
    assert body["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    "schema", [{"type": "wibble"}, {"$ref": "#/nowhere"}, {"type": "string", "pattern": "^([a-$"}], ids=str
)
async def test_an_invalid_schema_is_refused(chat: Endpoint, schema: dict[str, Any]) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    status, error = await refused(chat, response_format=wanted)
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert "schema" in error["message"]


async def test_the_probabilities_of_tokens_are_given(chat: Endpoint) -> None:
    body = await ask(chat, logprobs=True, top_logprobs=2, max_tokens=3)
    tokens = body["choices"][0]["logprobs"]["content"]
    assert len(tokens) == 3
    assert "".join(token["token"] for token in tokens) == body["choices"][0]["message"]["content"]
    assert all(len(token["top_logprobs"]) == 2 and token["logprob"] <= 0 for token in tokens)


async def test_several_choices_need_as_many_slots(chat: Endpoint) -> None:
    body = await ask(chat, n=2, temperature=1)
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    status, error = await refused(chat, n=3)
    assert status == 400
    assert "'n'" in error["message"]


async def test_a_stop_text_ends_the_answer_and_is_left_out(chat: Endpoint) -> None:
    whole = (await ask(chat, max_tokens=20))["choices"][0]["message"]["content"]
    word = whole.split()[2]
    choice = (await ask(chat, max_tokens=20, stop=[word]))["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["content"] == whole[: whole.index(word)]


async def test_a_seed_repeats_an_answer(chat: Endpoint) -> None:
    answers = [
        (await ask(chat, seed=seed, temperature=1.5, max_tokens=12))["choices"][0]["message"]["content"]
        for seed in (7, 7, 8)
    ]
    assert answers[0] == answers[1]
    assert answers[0] != answers[2]


async def test_tools_are_dropped_by_a_template_that_knows_none(chat: Endpoint) -> None:
    """The reason why Cloudyard refuses tools for such a model instead of passing them on."""
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    plain = await ask(chat)
    required = await ask(chat, tools=tools, tool_choice="required")
    assert required["usage"]["prompt_tokens"] == plain["usage"]["prompt_tokens"]
    assert "tool_calls" not in required["choices"][0]["message"]
    root = Endpoint(chat.base_url.removesuffix("/v1"), chat.api_key)
    headers = {"Authorization": f"Bearer {chat.api_key}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{root.base_url}/props") as answer:
        capabilities = (await answer.json())["chat_template_caps"]
    assert capabilities["supports_tools"] is False
    assert capabilities["supports_tool_calls"] is False


async def test_a_prompt_beyond_the_context_is_refused_before_the_stream_begins(chat: Endpoint) -> None:
    long = [{"role": "user", "content": "hello world " * 600}]
    for stream in (False, True):
        status, error = await refused(chat, messages=long, stream=stream)
        assert (status, error["type"]) == (400, "exceed_context_size_error")
        assert error["n_ctx"] == 512
        assert error["n_prompt_tokens"] > 1200


async def test_an_answer_ends_where_the_context_ends(chat: Endpoint) -> None:
    long = [{"role": "user", "content": "hello world " * 230}]
    body = await ask(chat, messages=long, max_tokens=1000, ignore_eos=True)
    assert body["usage"]["total_tokens"] == 512
    assert body["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": -5},
        {"max_tokens": "3"},
        {"temperature": "hot"},
        {"stop": [1]},
        {"n": 0},
        {"top_logprobs": 2},
        {"messages": "hello"},
        {"tools": [{"type": "function", "function": {"name": "x"}}], "tool_choice": "sometimes"},
        {"response_format": {"type": "xml"}},
    ],
    ids=str,
)
async def test_wrong_values_are_refused(chat: Endpoint, wrong: dict[str, Any]) -> None:
    status, error = await refused(chat, **wrong)
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert error["message"]


async def test_tokens_are_counted_by_the_models_own_tokenizer(chat: Endpoint) -> None:
    root = Endpoint(chat.base_url.removesuffix("/v1"), chat.api_key)
    status, body = await post(root, "/tokenize", {"content": "The quick brown fox jumps over the lazy dog."})
    completion = {"prompt": "The quick brown fox jumps over the lazy dog.", "max_tokens": 1}
    _, answer = await post(chat, "/completions", completion)
    assert status == 200
    assert len(body["tokens"]) == answer["usage"]["prompt_tokens"]
    keyless, _ = await post(Endpoint(root.base_url, "wrong"), "/tokenize", {"content": "x"})
    assert keyless == 401


async def test_the_prompt_of_a_chat_can_be_rendered_and_counted(chat: Endpoint) -> None:
    root = Endpoint(chat.base_url.removesuffix("/v1"), chat.api_key)
    _, rendered = await post(root, "/apply-template", {"messages": QUESTION})
    _, body = await post(root, "/tokenize", {"content": rendered["prompt"], "add_special": True})
    assert len(body["tokens"]) == (await ask(chat))["usage"]["prompt_tokens"]


async def test_embeddings_are_normalised_and_counted(embed: Endpoint) -> None:
    texts = ["The cat sits on the mat.", "A feline rests upon a rug.", "Revenue grew by 12% in the quarter."]
    status, body = await post(embed, "/embeddings", {"input": texts})
    cat, feline, revenue = [item["embedding"] for item in body["data"]]
    assert status == 200
    assert [item["index"] for item in body["data"]] == [0, 1, 2]
    assert len(cat) == 384
    assert math.sqrt(dot(cat, cat)) == pytest.approx(1, abs=1e-4)
    assert dot(cat, feline) > dot(cat, revenue) + 0.3
    counts = [(await post(embed, "/embeddings", {"input": text}))[1]["usage"]["prompt_tokens"] for text in texts]
    assert body["usage"] == {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}


async def test_embeddings_come_in_base64_too(embed: Endpoint) -> None:
    _, plain = await post(embed, "/embeddings", {"input": "A cat."})
    _, packed = await post(embed, "/embeddings", {"input": "A cat.", "encoding_format": "base64"})
    values = struct.unpack("<384f", base64.b64decode(packed["data"][0]["embedding"]))
    assert values == pytest.approx(plain["data"][0]["embedding"], abs=1e-5)


async def test_a_text_too_long_to_embed_is_refused(embed: Endpoint) -> None:
    status, body = await post(embed, "/embeddings", {"input": "word " * 400})
    assert status in (400, 500)
    assert "too large" in body["error"]["message"] or "exceeds" in body["error"]["message"]


async def test_a_chat_model_embeds_nothing(chat: Endpoint) -> None:
    status, body = await post(chat, "/embeddings", {"input": "A cat."})
    assert (status, body["error"]["type"]) == (501, "not_supported_error")
