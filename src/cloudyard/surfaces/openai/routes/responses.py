"""Responses: made by an `InferenceEndpoint`, read back and deleted here."""

import re
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse

from cloudyard.domains.identity.records import Principal, Scope
from cloudyard.domains.inference import ConversationNotFound, Conversations, StoredResponse
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.ids import Ids
from cloudyard.surfaces.openai.answers import ResponseObject
from cloudyard.surfaces.openai.documents import TEMPLATE
from cloudyard.surfaces.openai.response_input import chat_request, earlier_messages, new_messages
from cloudyard.surfaces.openai.response_output import ResponseHead
from cloudyard.surfaces.openai.response_view import ResponseView
from cloudyard.surfaces.openai.routes.calls import Call
from cloudyard.surfaces.openai.schemas import Deleted, ResponseRequest
from cloudyard.surfaces.openai.services import Core
from cloudyard.web.authentication import require_scope
from cloudyard.web.json_body import decode_json

ID_BYTES = 24
ID = re.compile(r"resp_[0-9a-f]{48}")
RESPONSE = {
    "description": "The response.",
    "content": {"application/json": {"schema": {"$ref": TEMPLATE.format(name=ResponseObject.__name__)}}},
}

router = APIRouter(tags=["Responses"])
Caller = Annotated[Principal, Depends(require_scope(Scope.INFERENCE))]


class ResponseReader:
    """Reads requests for responses, with the conversation that they continue."""

    def __init__(self, conversations: Conversations, clock: Clock, ids: Ids) -> None:
        self._conversations = conversations
        self._clock = clock
        self._ids = ids
        self._decoder = msgspec.json.Decoder(ResponseRequest)

    async def __call__(self, call: Call) -> ResponseView:
        """The view of one response. Raises `MalformedRequest`, `InvalidRequest` or `ConversationNotFound`."""
        call.principal.require(Scope.INFERENCE)
        request = decode_json(call.body, self._decoder)
        user_id = call.principal.user_id
        conversation = []
        if request.previous_response_id is not None:
            stored = await _kept(
                self._conversations, user_id, request.previous_response_id, field="previous_response_id"
            )
            conversation = earlier_messages(stored.messages)
        conversation += new_messages(request)
        head = ResponseHead(self._ids.hex(ID_BYTES), int(self._clock.now().timestamp()), request)
        return ResponseView(head, chat_request(request, conversation), conversation, self._conversations, user_id)


@router.get("/responses/{response_id}", openapi_extra={"responses": {"200": RESPONSE}})
async def retrieve_response(core: Core, response_id: str, principal: Caller) -> JSONResponse:
    """A response that was kept."""
    stored = await _kept(core.conversations, principal.user_id, response_id)
    return JSONResponse(stored.body)


@router.delete("/responses/{response_id}")
async def delete_response(core: Core, response_id: str, principal: Caller) -> Deleted:
    """Forget a response, so that it cannot be continued."""
    _check_id(response_id)
    await core.conversations.forget_response(principal.user_id, response_id)
    return Deleted(id=response_id, object="response")


async def _kept(
    conversations: Conversations, user_id: str, response_id: str, *, field: str = "response_id"
) -> StoredResponse:
    _check_id(response_id, field)
    return await conversations.response(user_id, response_id, field=field)


def _check_id(response_id: str, field: str = "response_id") -> None:
    """What cannot be an id is not put to the database, which refuses some characters."""
    if ID.fullmatch(response_id) is None:
        raise ConversationNotFound("There is no such response. Take the id that a response had.", field=field)
