"""The OpenAI surface: FastAPI for documents and quiet routes, plain ASGI for the endpoints that run models."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from cloudyard.domains.inference import ChatRequest, CompletionRequest, EmbeddingRequest
from cloudyard.surfaces.openai.documents import FAILURES, INFERENCE, described
from cloudyard.surfaces.openai.errors import OpenAIErrors
from cloudyard.surfaces.openai.policy import DOCUMENTS, POLICY
from cloudyard.surfaces.openai.routes import files, models, responses
from cloudyard.surfaces.openai.routes.calls import Call
from cloudyard.surfaces.openai.routes.inference import InferenceEndpoint, ReadView
from cloudyard.surfaces.openai.services import OpenAIServices
from cloudyard.surfaces.openai.token_ids import with_advice
from cloudyard.surfaces.openai.views import CompletionView, EmbeddingView, Request, View
from cloudyard.web.errors import MalformedRequest
from cloudyard.web.json_body import decode_json
from cloudyard.web.surface_app import new_surface_app
from cloudyard.web.token_limits import TokenLimits

DESCRIPTION = "The OpenAI API over the models of this installation. Every call is charged to the caller's credit."


class OpenAIApp:
    """The surface as one ASGI app, to be served behind a `Gate` with `POLICY` and `OpenAIErrors`."""

    def __init__(self, app: FastAPI, inference: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._inference = inference

    def openapi(self) -> dict[str, Any]:
        """The surface's OpenAPI document."""
        return self._app.openapi()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Calls of models go past the framework's routing."""
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self._inference.get(scope["state"]["path"])
            if endpoint is not None:
                await endpoint(scope, receive, send)
                return
        await self._app(scope, receive, send)


def create_app(services: OpenAIServices) -> OpenAIApp:
    """The surface's app."""
    endpoints = _inference_endpoints(services)
    app = new_surface_app(POLICY, OpenAIErrors(), services=services, description=DESCRIPTION, documents=DOCUMENTS)
    for router in (models.router, files.router, responses.router):
        app.include_router(router, responses=dict(FAILURES))
    for path, endpoint in endpoints.items():
        app.router.routes.append(Route(path, endpoint, methods=["POST"]))
    app.openapi = described(app, INFERENCE)  # type: ignore[method-assign]
    return OpenAIApp(app, endpoints)


def _inference_endpoints(services: OpenAIServices) -> dict[str, InferenceEndpoint]:
    tokens = TokenLimits(POLICY, services.limits, services.catalogue, services.metrics)
    readers: dict[str, ReadView] = {
        "/chat/completions": _reader(ChatRequest, CompletionView),
        "/completions": _reader(CompletionRequest, CompletionView),
        "/embeddings": _reader(EmbeddingRequest, EmbeddingView),
        "/responses": responses.ResponseReader(services.conversations, services.clock, services.ids),
    }
    return {
        path: InferenceEndpoint(path, read, services.generation, tokens, services.idempotency, services.clock)
        for path, read in readers.items()
    }


def _reader(request: type[Request], view: Callable[[Any], View[Request]]) -> Callable[[Call], Awaitable[View[Request]]]:
    decoder = msgspec.json.Decoder(request)

    async def read(call: Call) -> View[Request]:
        try:
            return view(decode_json(call.body, decoder))
        except MalformedRequest as error:
            raise with_advice(error) from None

    return read
