"""Models and chat completions (document, MCP Endpoints)."""

from typing import Any

from fastapi import APIRouter, Request, Response

from cloudyard.surfaces.aihub.chat import ChatResponse, Question
from cloudyard.surfaces.aihub.chat_mapping import chat_request, model_views
from cloudyard.surfaces.aihub.chat_schemas import ChatCompletionBody, ChatCompletionView, ModelView
from cloudyard.surfaces.aihub.policy import POLICY
from cloudyard.surfaces.aihub.routes.headers import IdempotencyKey
from cloudyard.surfaces.aihub.routes.meta import CurrentMeta
from cloudyard.surfaces.aihub.schemas import Envelope, ErrorEnvelope
from cloudyard.surfaces.aihub.services import Services
from cloudyard.web.authentication import CurrentPrincipal
from cloudyard.web.documented_errors import failures
from cloudyard.web.idempotency import keyed_request
from cloudyard.web.json_body import StrictJsonRoute

router = APIRouter(prefix="/api/mcp", tags=["MCP"], route_class=StrictJsonRoute)

STREAMED: dict[str, Any] = {
    "description": "The completion; with `stream`, events that each carry a piece of it, and `[DONE]`.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


@router.get("/models", summary="List available models", responses=failures(ErrorEnvelope, 401, 403, 429))
async def list_models(caller: CurrentPrincipal, services: Services, meta: CurrentMeta) -> Envelope[list[ModelView]]:
    """The chat models that the caller may use, under all their names, with the price of a token in dollars."""
    models = model_views(services.catalogue, services.prices, caller)
    return Envelope[list[ModelView]](data=models, meta=meta)


@router.post(
    "/chat/completions",
    summary="Create a chat completion",
    response_model=Envelope[ChatCompletionView],
    responses={200: STREAMED, **failures(ErrorEnvelope, 400, 401, 402, 403, 404, 409, 422, 429, 502, 503)},
)
async def create_completion(
    body: ChatCompletionBody,
    request: Request,
    caller: CurrentPrincipal,
    services: Services,
    meta: CurrentMeta,
    _key: IdempotencyKey = None,
) -> Response:
    """Ask a model, for a whole answer or a stream; what it took is charged, and a client that leaves stops it."""
    keyed = await keyed_request(request, f"{POLICY.name}:chat")
    return ChatResponse(services, Question(caller, chat_request(body), meta, keyed))
