"""Chat over a WebSocket (pynode.md, WebSocket API), at `/ws`.

The token comes in a header or as `?token=`. Beyond the document: `"stream": true` in a chat message sends the answer's
pieces as `chat_chunk` before the whole as `chat_response`, an `id` in a message comes back in what answers it,
and what cannot be served is answered by `error` with the surface's flat error body.
"""

import asyncio
from typing import Any

import structlog
from fastapi import APIRouter, WebSocket
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from cloudyard.domains.identity import Principal
from cloudyard.foundation.errors import DomainError, InvalidInput
from cloudyard.foundation.limiting import RateLimited
from cloudyard.surfaces.pynode.chat import Chat, new_chat
from cloudyard.surfaces.pynode.errors import error_body
from cloudyard.surfaces.pynode.policy import WEBSOCKET_PATH
from cloudyard.surfaces.pynode.schemas import SocketChat
from cloudyard.surfaces.pynode.services import Core
from cloudyard.web.authentication import require_caller
from cloudyard.web.errors import as_domain_error, log_withheld
from cloudyard.web.rate_limits import count_message
from cloudyard.web.websocket import JsonSocket

MOST_WAITING = 8

log = structlog.get_logger(__name__)

router = APIRouter()


@router.websocket(WEBSOCKET_PATH)
async def chat_socket(websocket: WebSocket, core: Core) -> None:
    """Serve one connection: messages are answered in their order, and stopped when the client leaves."""
    require_caller(websocket.scope)
    chat = new_chat(core)
    connection = ChatConnection(websocket, chat, core)
    await connection.serve()


class ChatConnection:
    """One client's connection."""

    def __init__(self, websocket: WebSocket, chat: Chat, core: Core) -> None:
        self._scope = websocket.scope
        self._socket = JsonSocket(websocket)
        self._chat = chat
        self._core = core
        self._waiting: asyncio.Queue[Any] = asyncio.Queue(MOST_WAITING)

    async def serve(self) -> None:
        """Serve until the client leaves."""
        await self._socket.accept()
        answering = asyncio.create_task(self._answer_all(), name="chat-socket")
        try:
            async for message in self._socket.messages():
                await self._enqueue(message)
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    async def _enqueue(self, message: Any) -> None:
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            busy = RateLimited(
                f"{MOST_WAITING} messages are waiting already. Wait for answers before you send more.", retry_after=1
            )
            await self._send("error", error_body(busy), message)

    async def _answer_all(self) -> None:
        while True:
            message = await self._waiting.get()
            try:
                await self._answer(message)
            except Exception as error:
                failure = as_domain_error(error)
                log_withheld(failure)
                if not isinstance(error, DomainError):
                    log.error("chat message failed", exc_info=error)
                await self._send("error", error_body(failure), message)

    async def _answer(self, message: Any) -> None:
        await count_message(self._scope)
        principal = await self._principal()
        wanted = _chat_of(message)
        request_id: str = self._scope["state"]["request_id"]
        if wanted.stream:
            reply = await self._chat.stream(
                principal, wanted, request_id, lambda piece: self._send("chat_chunk", {"message": piece}, message)
            )
        else:
            reply = await self._chat.answer(principal, wanted, request_id)
        await self._send("chat_response", reply.answer.model_dump(mode="json"), message)

    async def _principal(self) -> Principal:
        """Who is calling, asked anew for each message: a session may have ended meanwhile."""
        credential: str = self._scope["state"]["credential"]
        return self._core.sessions.cached(credential) or await self._core.sessions.authenticate(credential)

    async def _send(self, kind: str, data: object, message: Any) -> None:
        answer = {"type": kind, "data": data}
        if isinstance(message, dict) and isinstance(message.get("id"), str | int):
            answer["id"] = message["id"]
        await self._socket.send(answer)


def _chat_of(message: Any) -> SocketChat:
    if isinstance(message, DomainError):
        raise message
    if not isinstance(message, dict) or message.get("type") != "chat":
        raise InvalidInput('Send messages of the form {"type": "chat", "data": {"message": "..."}}.', field="type")
    try:
        return SocketChat.model_validate(message.get("data"))
    except ValidationError as error:
        located = [{**problem, "loc": ("body", "data", *problem["loc"])} for problem in error.errors()]
        raise as_domain_error(RequestValidationError(located)) from error
