"""The parts of the OpenAPI document that FastAPI cannot know: the endpoints that are plain ASGI."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import FastAPI

from cloudyard.domains.inference import ChatRequest, CompletionRequest, EmbeddingRequest
from cloudyard.surfaces.openai import answers
from cloudyard.surfaces.openai.schemas import ErrorBody, ResponseRequest

CHAT_NAME = "gpt-4"
EMBEDDING_NAME = "text-embedding-3-small"
TEMPLATE = "#/components/schemas/{name}"
SECURITY: Sequence[Mapping[str, Sequence[str]]] = [{"HTTPBearer": []}, {"APIKeyHeader": []}]
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repetition with the same key and body gets the same answer and is not charged again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
# What every FastAPI route of the surface may answer besides its own; FastAPI then adds no 422 of its own shape.
FAILURES: Mapping[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "The request cannot be served as it is."},
    "5XX": {"model": ErrorBody, "description": "The server, or what it depends on, failed."},
}


@dataclass(frozen=True, slots=True)
class Described:
    """A plain ASGI endpoint as the document shows it."""

    path: str
    operation: str
    summary: str
    tag: str
    request: type[msgspec.Struct]
    answer: type[msgspec.Struct]
    example: Mapping[str, Any]
    event: type[msgspec.Struct] | None = None


INFERENCE = (
    Described(
        "/chat/completions",
        "create_chat_completion",
        "Answer a conversation, whole or as a stream of events.",
        "Chat",
        ChatRequest,
        answers.ChatCompletion,
        {"model": CHAT_NAME, "messages": [{"role": "user", "content": "What is the capital of France?"}]},
        answers.ChatCompletionChunk,
    ),
    Described(
        "/completions",
        "create_completion",
        "Continue a text, whole or as a stream of events.",
        "Completions",
        CompletionRequest,
        answers.TextCompletion,
        {"model": CHAT_NAME, "prompt": "Once upon a time", "max_tokens": 32},
        answers.TextCompletion,
    ),
    Described(
        "/embeddings",
        "create_embedding",
        "Embed one or more texts.",
        "Embeddings",
        EmbeddingRequest,
        answers.EmbeddingList,
        {"model": EMBEDDING_NAME, "input": ["The first text.", "The second one."]},
    ),
    Described(
        "/responses",
        "create_response",
        "Answer a request, or continue an earlier response, whole or as a stream of events.",
        "Responses",
        ResponseRequest,
        answers.ResponseObject,
        {"model": CHAT_NAME, "input": "What is the capital of France?", "instructions": "Answer in one sentence."},
        answers.ResponseEvent,
    ),
)


def described(app: FastAPI, endpoints: Sequence[Described]) -> Callable[[], dict[str, Any]]:
    """`app.openapi` with the plain ASGI endpoints in it, made once."""
    of_routes = app.openapi

    def openapi() -> dict[str, Any]:
        document = of_routes()
        if any(endpoint.path not in document["paths"] for endpoint in endpoints):
            _complete(document, endpoints)
        return document

    return openapi


def _complete(document: dict[str, Any], endpoints: Sequence[Described]) -> None:
    shapes = [shape for e in endpoints for shape in (e.request, e.answer, e.event) if shape is not None]
    references, components = msgspec.json.schema_components(shapes, ref_template=TEMPLATE)
    of_shape = dict(zip(shapes, references, strict=True))
    document["components"]["schemas"] |= components
    for endpoint in endpoints:
        document["paths"].setdefault(endpoint.path, {})["post"] = _operation(endpoint, of_shape)
    document["paths"] = dict(sorted(document["paths"].items()))


def _operation(endpoint: Described, of_shape: Mapping[type, dict[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": of_shape[endpoint.answer]}}
    if endpoint.event is not None:
        content["text/event-stream"] = {"schema": {"type": "string"}, "x-event": of_shape[endpoint.event]}
    failure = {"application/json": {"schema": {"$ref": TEMPLATE.format(name=ErrorBody.__name__)}}}
    failures = {str(code): {"description": said["description"], "content": failure} for code, said in FAILURES.items()}
    return {
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "operationId": endpoint.operation,
        "security": SECURITY,
        "parameters": [IDEMPOTENCY_KEY],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": of_shape[endpoint.request], "example": endpoint.example}},
        },
        "responses": {"200": {"description": "The answer.", "content": content}, **failures},
    }
