"""The OpenAPI document is complete, although half of the surface is plain ASGI, and what it says is true."""

import json
from typing import Any

import msgspec
import pytest
from openai_stack import Caller, Stack
from test_interruptions import ENDPOINTS, GENERATING

from cloudyard.surfaces.openai import answers

SHAPES: dict[str, tuple[Any, Any]] = {
    "/chat/completions": (answers.ChatCompletion, answers.ChatCompletionChunk),
    "/completions": (answers.TextCompletion, answers.TextCompletion),
    "/responses": (answers.ResponseObject, answers.ResponseEvent),
    "/embeddings": (answers.EmbeddingList, None),
}


def references_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references_in(inner) for inner in value.values()))
    return set().union(*(references_in(inner) for inner in value)) if isinstance(value, list) else set()


async def document(stack: Stack) -> dict[str, Any]:
    client = await stack.client(None)
    response = await client.get("/openapi.json")
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    return body


async def test_every_route_is_described(stack: Stack) -> None:
    described = await document(stack)
    operations = {(path, method) for path, methods in described["paths"].items() for method in methods}
    assert operations == {
        ("/chat/completions", "post"),
        ("/completions", "post"),
        ("/embeddings", "post"),
        ("/files", "get"),
        ("/files", "post"),
        ("/files/{file_id}", "delete"),
        ("/files/{file_id}", "get"),
        ("/files/{file_id}/content", "get"),
        ("/models", "get"),
        ("/models/{model}", "get"),
        ("/responses", "post"),
        ("/responses/{response_id}", "delete"),
        ("/responses/{response_id}", "get"),
    }
    for path, method in operations:
        operation = described["paths"][path][method]
        assert operation["security"] == [{"HTTPBearer": []}, {"APIKeyHeader": []}]
        assert {"200", "4XX", "5XX"} <= operation["responses"].keys()
        assert "422" not in operation["responses"]


async def test_nothing_that_is_referred_to_is_missing(stack: Stack) -> None:
    described = await document(stack)
    known = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
    assert references_in(described) == known
    operations = [operation for path in described["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert described["servers"] == [{"url": "/v1"}]


@pytest.mark.parametrize("path", ["/openapi.yaml", "/docs"])
async def test_the_document_in_its_other_forms(stack: Stack, path: str) -> None:
    client = await stack.client(None)
    assert (await client.get(path)).status_code == 200


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_whole_answers_are_as_described(caller: Caller, path: str) -> None:
    answer = (await caller.client.post(path, json=ENDPOINTS[path])).json()
    msgspec.convert(answer, SHAPES[path][0])


@pytest.mark.parametrize("path", GENERATING)
async def test_events_are_as_described(caller: Caller, path: str) -> None:
    response = await caller.client.post(path, json={**ENDPOINTS[path], "stream": True})
    data = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
    assert len(data) > 3
    for each in data:
        msgspec.convert(json.loads(each), SHAPES[path][1])
