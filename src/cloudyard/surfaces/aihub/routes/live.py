"""Events of the signed-in user over a WebSocket, at `/ws`.

The document promises real-time connections and leaves their form open. The token comes in a header or as `?token=`.
The first message is `connected` with `lastEventId`; then each event comes as `event` with an `id`. Who comes back with
`?lastEventId=` gets what happened since, for a day. Without it the feed begins now. `ping` is answered by `pong`.
"""

import asyncio
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query, WebSocket
from pydantic.alias_generators import to_camel

from cloudyard.domains.live import LiveEvent
from cloudyard.foundation.errors import DomainError, InvalidInput
from cloudyard.surfaces.aihub.mapping import timestamp
from cloudyard.surfaces.aihub.policy import LIVE_PATH
from cloudyard.surfaces.aihub.services import AihubServices
from cloudyard.web.authentication import require_caller
from cloudyard.web.rate_limits import count_message
from cloudyard.web.websocket import JsonSocket

REFUSED = 1008
"""RFC 6455, section 7.4.1: the connection goes against what is allowed."""

router = APIRouter()


@router.websocket(LIVE_PATH)
async def live_socket(
    websocket: WebSocket, last_event_id: Annotated[int | None, Query(alias="lastEventId", ge=0)] = None
) -> None:
    """Serve one connection until the client leaves or its session ends."""
    caller = require_caller(websocket.scope)
    services: AihubServices = websocket.app.state.services
    newest = await services.live.newest(caller.user_id)
    socket = JsonSocket(websocket)
    await socket.accept()
    await socket.send({"type": "connected", "data": {"lastEventId": newest}})
    connection = LiveConnection(websocket, socket, services, caller.user_id)
    await connection.serve(newest if last_event_id is None else last_event_id)


class LiveConnection:
    """One client's connection."""

    def __init__(self, websocket: WebSocket, socket: JsonSocket, services: AihubServices, user_id: str) -> None:
        self._scope = websocket.scope
        self._socket = socket
        self._services = services
        self._user_id = user_id

    async def serve(self, after: int) -> None:
        """Send events, and answer what the client says."""
        sending = asyncio.create_task(self._send_events(after), name="live-events")
        try:
            async for message in self._socket.messages():
                await self._answer(message)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send_events(self, after: int) -> None:
        async with aclosing(self._services.live.follow(self._user_id, after)) as events:
            async for event in events:
                if not await self._may_hear():
                    await self._socket.close(REFUSED, "The session has ended. Log in again.")
                    return
                if event is not None:
                    await self._socket.send(_shown(event))

    async def _may_hear(self) -> bool:
        """Whether the session still lives; asked again for every event."""
        credential: str = self._scope["state"]["credential"]
        sessions = self._services.sessions
        try:
            return (sessions.cached(credential) or await sessions.authenticate(credential)).user_id == self._user_id
        except DomainError:
            return False

    async def _answer(self, message: Any) -> None:
        try:
            await count_message(self._scope)
            if isinstance(message, DomainError):
                raise message
            if not isinstance(message, dict) or message.get("type") != "ping":
                raise InvalidInput('Events come by themselves; send nothing but {"type": "ping"}.', field="type")
        except DomainError as error:
            await self._socket.send({"type": "error", "data": {"message": error.message}})
        else:
            await self._socket.send({"type": "pong"})


def _shown(event: LiveEvent) -> dict[str, Any]:
    return {
        "type": "event",
        "id": event.number,
        "event": event.kind,
        "data": {to_camel(name): value for name, value in event.payload.items()},
        "timestamp": timestamp(event.created_at),
    }
