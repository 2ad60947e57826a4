"""Every wrong request gets a clear error in OpenAI's shape; no model is called and nothing is charged."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from openai_stack import Caller, Stack, Template, running_stack
from test_interruptions import ENDPOINTS

from cloudyard.testing.upstream import running_upstream

CHAT = ENDPOINTS["/chat/completions"]
IMPOSSIBLE = {"properties": {"name": {"type": "string", "minLength": 5, "maxLength": 2}}}
FUNCTION = {"type": "function", "function": {"name": "weather"}}

every_endpoint = pytest.mark.parametrize("path", ENDPOINTS)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(template: Template, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """One server for all: what is refused changes nothing."""
    directory = tmp_path_factory.mktemp("bad-input")
    async with running_upstream() as upstream, running_stack(template, directory, upstream) as stack:
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def caller(stack: Stack) -> Caller:
    return await stack.caller()


async def refused(stack: Stack, caller: Caller, path: str, status: int = 400, **request: Any) -> dict[str, Any]:
    """The error of a request that must be refused."""
    calls, spent = len(stack.upstream.calls), await stack.spent(caller)
    response = await caller.client.post(path, **request)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    assert len(stack.upstream.calls) == calls
    assert await stack.spent(caller) == spent
    error: dict[str, Any] = body["error"]
    return error


@every_endpoint
@pytest.mark.parametrize(
    "text", [b"", b"{", b'{"model":', b"\xff\xfe", b'{"model": NaN}', b'{"model":"\xc3("}', b"[" * 100_0 + b"]" * 1000]
)
async def test_unreadable_json(stack: Stack, caller: Caller, path: str, text: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    error = await refused(stack, caller, path, content=text, headers=headers)
    assert error["type"] == "invalid_request_error"
    assert error["code"] in ("invalid_json", "invalid_type")


@every_endpoint
@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
async def test_another_content_type(stack: Stack, caller: Caller, path: str, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    content = json.dumps(ENDPOINTS[path]).encode()
    error = await refused(stack, caller, path, 415, content=content, headers=headers)
    assert error["code"] == "unsupported_content_type"


@every_endpoint
async def test_json_by_any_of_its_names(caller: Caller, path: str) -> None:
    for content_type in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/problem+json"):
        content = json.dumps(ENDPOINTS[path]).encode()
        response = await caller.client.post(path, content=content, headers={"Content-Type": content_type})
        assert response.status_code == 200


@every_endpoint
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large(stack: Stack, caller: Caller, path: str, chunked: bool) -> None:
    content = json.dumps({**ENDPOINTS[path], "user": "x" * 200_000}).encode()

    async def pieces() -> Any:
        yield content

    headers = {"Content-Type": "application/json"}
    error = await refused(stack, caller, path, 413, content=pieces() if chunked else content, headers=headers)
    assert error["code"] == "body_too_large"


@every_endpoint
async def test_a_body_in_many_pieces(caller: Caller, path: str) -> None:
    content = json.dumps(ENDPOINTS[path]).encode()

    async def pieces() -> Any:
        for byte in content:
            yield bytes([byte])

    headers = {"Content-Type": "application/json"}
    assert (await caller.client.post(path, content=pieces(), headers=headers)).status_code == 200


@every_endpoint
@pytest.mark.parametrize("body", [None, [], "text", 7, True])
async def test_json_that_is_no_object(stack: Stack, caller: Caller, path: str, body: Any) -> None:
    error = await refused(stack, caller, path, json=body if body is not None else {"a": 1})
    assert error["code"] in ("invalid_type", "missing_required_parameter", "invalid_json")


@every_endpoint
@pytest.mark.parametrize("name", ["nothing-like-it", "PARROT", "../parrot", "parrot\x00", "p" * 128])
async def test_an_unknown_model(stack: Stack, caller: Caller, path: str, name: str) -> None:
    error = await refused(stack, caller, path, 404, json={**ENDPOINTS[path], "model": name})
    assert (error["type"], error["code"]) == ("invalid_request_error", "model_not_found")
    assert error["param"] == "model"


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"messages": "hello"}, "messages", "invalid_type"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content", "invalid_type"),
    ({"messages": [{"content": "x"}]}, "messages.0.role", "missing_required_parameter"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role", "invalid_value"),
    ({"messages": []}, "messages", "invalid_value"),
    ({"messages": [{"role": "user", "content": ""}]}, "messages", "invalid_request"),
    ({"messages": [{"role": "user", "content": "  \n"}]}, "messages", "invalid_request"),
    ({"model": None}, "model", "invalid_type"),
    ({"model": ""}, "model", "invalid_value"),
    ({"max_tokens": 0}, "max_tokens", "invalid_value"),
    ({"max_tokens": -1}, "max_tokens", "invalid_value"),
    ({"max_tokens": 1.5}, "max_tokens", "invalid_type"),
    ({"max_tokens": "5"}, "max_tokens", "invalid_type"),
    ({"max_tokens": True}, "max_tokens", "invalid_type"),
    ({"max_tokens": 10**9}, "max_tokens", "context_length_exceeded"),
    ({"max_completion_tokens": 10**9}, "max_completion_tokens", "context_length_exceeded"),
    ({"max_tokens": 10**400}, "max_tokens", "context_length_exceeded"),
    ({"temperature": 2.1}, "temperature", "invalid_value"),
    ({"temperature": "hot"}, "temperature", "invalid_type"),
    ({"top_p": -0.1}, "top_p", "invalid_value"),
    ({"n": 0}, "n", "invalid_value"),
    ({"n": 17}, "n", "invalid_value"),
    ({"stop": ["a"] * 5}, "stop", "invalid_value"),
    ({"stop": 5}, "stop", "invalid_type"),
    ({"seed": 2**64}, "seed", "invalid_value"),
    ({"top_logprobs": 21}, "top_logprobs", "invalid_value"),
    ({"stream": "yes"}, "stream", "invalid_type"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage", "invalid_type"),
    ({"tools": "hammer"}, "tools", "invalid_type"),
    ({"tools": [{"type": "function"}]}, "tools", "invalid_request"),
    ({"tools": [FUNCTION, FUNCTION]}, "tools", "invalid_request"),
    ({"tools": [FUNCTION], "tool_choice": "sometimes"}, "tool_choice", "invalid_request"),
    (
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "x"}}},
        "tool_choice",
        "invalid_request",
    ),
    ({"tool_choice": "required"}, "tool_choice", "invalid_request"),
    ({"model": "vectors"}, "model", "invalid_request"),
]


@pytest.mark.parametrize(("change", "param", "code"), WRONG)
async def test_chat_fields_that_cannot_be(
    stack: Stack, caller: Caller, change: dict[str, Any], param: str, code: str
) -> None:
    error = await refused(stack, caller, "/chat/completions", json={**CHAT, **change})
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)


@pytest.mark.parametrize("missing", ["model", "messages"])
async def test_a_missing_field_is_named(stack: Stack, caller: Caller, missing: str) -> None:
    body = {name: value for name, value in CHAT.items() if name != missing}
    error = await refused(stack, caller, "/chat/completions", json=body)
    assert (error["code"], error["param"]) == ("missing_required_parameter", missing)
    assert missing in error["message"]


@pytest.mark.parametrize(
    ("path", "change", "param"),
    [
        ("/completions", {"prompt": ""}, "prompt"),
        ("/completions", {"prompt": []}, "prompt"),
        ("/completions", {"prompt": ["a"] * 17}, "prompt"),
        ("/completions", {"prompt": [1, 2]}, "prompt.0"),
        ("/completions", {"logprobs": 6}, "logprobs"),
        ("/completions", {"echo": True}, "echo"),
        ("/completions", {"max_tokens": 0}, "max_tokens"),
        ("/embeddings", {"input": ""}, "input"),
        ("/embeddings", {"input": []}, "input"),
        ("/embeddings", {"input": [""]}, "input.0"),
        ("/embeddings", {"input": [[1, 2], [3]]}, "input.0"),
        ("/embeddings", {"encoding_format": "hex"}, "encoding_format"),
        ("/embeddings", {"dimensions": 0}, "dimensions"),
        ("/embeddings", {"model": "parrot"}, "model"),
        ("/responses", {"input": ""}, "input"),
        ("/responses", {"input": []}, "input"),
        ("/responses", {"input": 5}, "input"),
        ("/responses", {"input": [{"role": "user"}]}, "input.0.content"),
        ("/responses", {"input": [{"content": "x"}]}, "input.0.role"),
        ("/responses", {"input": [{"type": "item_reference", "id": "x"}]}, "input.0.type"),
        ("/responses", {"input": [{"type": "function_call", "call_id": "a", "name": "b"}]}, "input.0.arguments"),
        ("/responses", {"input": [{"type": "function_call_output", "output": "b"}]}, "input.0.call_id"),
        ("/responses", {"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input.0.content.0.type"),
        ("/responses", {"max_output_tokens": 0}, "max_output_tokens"),
        ("/responses", {"max_output_tokens": 10**9}, "max_output_tokens"),
        ("/responses", {"input": " "}, "input"),
        ("/responses", {"background": True}, "background"),
        ("/responses", {"conversation": "conv_1"}, "conversation"),
        ("/responses", {"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ("/responses", {"text": {"format": {"type": "xml"}}}, "text.format.type"),
        (
            "/responses",
            {"text": {"format": {"type": "json_schema", "name": "x", "schema": IMPOSSIBLE}}},
            "text.format",
        ),
        (
            "/chat/completions",
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": IMPOSSIBLE}}},
            "response_format",
        ),
        (
            "/chat/completions",
            {"tools": [{"type": "function", "function": {"name": "x", "parameters": IMPOSSIBLE}}]},
            "tools",
        ),
        ("/responses", {"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ("/responses", {"tools": [{"type": "function"}]}, "tools.0.name"),
        ("/responses", {"tool_choice": {"type": "function", "name": "x"}}, "tool_choice"),
        ("/responses", {"metadata": {"k" * 65: "v"}}, "metadata"),
        ("/responses", {"metadata": {"k": 5}}, "metadata"),
    ],
)
async def test_fields_of_the_other_endpoints_that_cannot_be(
    stack: Stack, caller: Caller, path: str, change: dict[str, Any], param: str
) -> None:
    error = await refused(stack, caller, path, json={**ENDPOINTS[path], **change})
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param


@pytest.mark.parametrize(("path", "field"), [("/embeddings", "input"), ("/completions", "prompt")])
@pytest.mark.parametrize("ids", [[1, 2, 3], [[1, 2], [3]]])
async def test_token_ids_are_refused_with_what_to_do(
    stack: Stack, caller: Caller, path: str, field: str, ids: list[Any]
) -> None:
    error = await refused(stack, caller, path, json={**ENDPOINTS[path], field: ids})
    assert (error["code"], error["param"]) == ("invalid_type", f"{field}.0")
    assert "Send text" in error["message"]
    assert "check_embedding_ctx_length=False" in error["message"]


async def test_what_is_no_token_id_is_refused_without_that(stack: Stack, caller: Caller) -> None:
    error = await refused(stack, caller, "/embeddings", json={**ENDPOINTS["/embeddings"], "input": [None]})
    assert "Send text" not in error["message"]


async def test_a_completion_that_wants_no_echo(stack: Stack, caller: Caller) -> None:
    response = await caller.client.post("/completions", json={**ENDPOINTS["/completions"], "echo": False})
    assert response.status_code == 200
    assert "echo" not in stack.upstream.calls[-1].body


async def test_messages_without_text_say_so(stack: Stack, caller: Caller) -> None:
    body = {**CHAT, "messages": [{"role": "user", "content": " "}]}
    error = await refused(stack, caller, "/chat/completions", json=body)
    assert error["message"] == "The messages are empty. Write some text into one of them."


async def test_a_model_without_tools_says_so(stack: Stack, caller: Caller) -> None:
    body = {**CHAT, "tools": [FUNCTION], "tool_choice": "required"}
    error = await refused(stack, caller, "/chat/completions", json=body)
    assert error["param"] == "tool_choice"
    assert "json schema" in error["message"].lower()


async def test_an_unknown_address(caller: Caller) -> None:
    for method, path in (("GET", "/threads"), ("POST", "/chat"), ("POST", "/chat/completions/"), ("GET", "/")):
        response = await caller.client.request(method, path)
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "unknown_url"


@every_endpoint
async def test_null_is_as_good_as_nothing(caller: Caller, path: str) -> None:
    optional = {"user": None, **({} if path == "/embeddings" else {"stream": None, "temperature": None})}
    response = await caller.client.post(path, json={**ENDPOINTS[path], **optional})
    assert response.status_code == 200
