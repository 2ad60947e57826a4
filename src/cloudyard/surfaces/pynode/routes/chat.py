"""Chat and its history (pynode.md, AI Chat)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloudyard.domains.billing.batch import Write
from cloudyard.domains.identity import Principal, Scope
from cloudyard.domains.inference import Answer
from cloudyard.foundation.durable import StoredAnswer
from cloudyard.foundation.durable.idempotency import KeyClaim
from cloudyard.surfaces.pynode import mapping
from cloudyard.surfaces.pynode.chat import Chat, ChatReply, new_chat
from cloudyard.surfaces.pynode.errors import PynodeErrors
from cloudyard.surfaces.pynode.policy import POLICY
from cloudyard.surfaces.pynode.schemas import ChatAnswer, ChatRequest, History
from cloudyard.surfaces.pynode.services import Core, PynodeServices
from cloudyard.web.authentication import CurrentPrincipal, require_scope
from cloudyard.web.disconnect import unless_left
from cloudyard.web.idempotency import KeyedRequest, as_response, keyed_request, once
from cloudyard.web.interruption import interruption_of
from cloudyard.web.json_body import StrictJsonRoute
from cloudyard.web.paging import Window, window

MODEL_HEADER = "X-Cloudyard-Model"
JSON_HEADERS = {"content-type": "application/json"}
MOST_MESSAGES = 200

router = APIRouter(tags=["AI Chat"], route_class=StrictJsonRoute)

MayInfer = Annotated[Principal, Depends(require_scope(Scope.INFERENCE))]


@router.post("/api/chat", response_model=ChatAnswer)
async def send_message(body: ChatRequest, request: Request, principal: CurrentPrincipal, core: Core) -> Response:
    """Ask a model. What it took is charged; a client that leaves stops it. Idempotency-Key is honoured."""
    chat = new_chat(core)
    request_id: str = request.scope["state"]["request_id"]
    keyed = await keyed_request(request, f"{POLICY.name}:chat")
    if keyed is not None:
        return await _send_once(keyed, chat, body, request, principal, core)
    return _response(await unless_left(request.receive, chat.answer(principal, body, request_id)))


@router.get("/api/chat/history")
async def read_history(
    at: Annotated[Window, Depends(window(default=50, most=MOST_MESSAGES))], principal: MayInfer, core: Core
) -> History:
    """What the caller asked and was answered, newest first."""
    turns, total = await core.conversations.turns(principal.user_id, limit=at.limit, offset=at.offset)
    messages = [mapping.history_message(turn) for turn in turns]
    return History(messages=messages, total=total, limit=at.limit, offset=at.offset)


async def _send_once(
    keyed: KeyedRequest,
    chat: Chat,
    body: ChatRequest,
    request: Request,
    principal: Principal,
    core: PynodeServices,
) -> Response:
    """Answer under a key: the answer is stored in the transaction that charges for it."""
    replies: list[ChatReply] = []
    request_id: str = request.scope["state"]["request_id"]

    async def produce(claim: KeyClaim) -> None:
        def store(answer: Answer, body: ChatAnswer) -> tuple[Write, ...]:
            return (core.idempotency.completion(claim, _kept(answer, body)),)

        work = chat.answer(principal, body, request_id, also=store)
        replies.append(await unless_left(request.receive, work))

    stored = await once(core.idempotency, keyed.scope, keyed.key, keyed.fingerprint, produce)
    return as_response(stored) if stored is not None else _response(replies[0])


def _kept(answer: Answer, body: ChatAnswer) -> StoredAnswer:
    """What a repetition gets: the answer, or, where its caller left before its end, what tells so."""
    interruption = interruption_of(answer)
    if interruption is None:
        return StoredAnswer(200, JSON_HEADERS, body.model_dump_json().encode())
    told = PynodeErrors().render(interruption, "")
    return StoredAnswer(told.status, JSON_HEADERS, told.body)


def _response(reply: ChatReply) -> Response:
    body = reply.answer.model_dump_json()
    return Response(body, media_type="application/json", headers={MODEL_HEADER: reply.served_by})
