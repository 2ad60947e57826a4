"""Events of the signed-in user over a WebSocket, at `/ws`.

The document promises real-time connections and leaves their form open. The token comes in a header or as `?token=`.
The first message is `connected` with `lastEventId`; then each event comes as `event` with an `id`. Who comes back with
`?lastEventId=` gets what happened since, for a day. Without it the feed begins now. `ping` is answered by `pong`.
The caller needs the scope `account`; events of credits and payments are left out for whoever has not `wallet`.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, WebSocket
from starlette.websockets import WebSocketDisconnect

from cloudyard.domains.identity import Principal, Scope
from cloudyard.domains.live import LiveEvent
from cloudyard.domains.webhooks import data_of
from cloudyard.foundation.errors import DomainError, ErrorKind, InvalidInput
from cloudyard.foundation.money import CreditRate
from cloudyard.surfaces.aihub.mapping import timestamp
from cloudyard.surfaces.aihub.policy import LIVE_PATH
from cloudyard.surfaces.aihub.services import AihubServices
from cloudyard.web.authentication import require_caller
from cloudyard.web.rate_limits import count_message
from cloudyard.web.websocket import JsonSocket

log = structlog.get_logger(__name__)

# RFC 6455, section 7.4.1
REFUSED = 1008
FAILED = 1011
MOST_SOCKETS = 50
"""Of one user, in one process."""
LARGEST_NUMBER = 2**63 - 1
NO_MORE = frozenset({ErrorKind.UNAUTHENTICATED, ErrorKind.FORBIDDEN})
"""What is wrong with a credential, as against what is wrong with us."""
OF_THE_WALLET = ("credit.", "payment.", "chat.")
"""Events that tell of money: of credits, payments, and what a chat cost."""

router = APIRouter()


class OpenSockets:
    """How many connections each user has open in this process."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @contextmanager
    def one_more(self, user_id: str) -> Iterator[bool]:
        """Count one for as long as the block lasts; False where the user has the most already."""
        if self._open[user_id] >= MOST_SOCKETS:
            yield False
            return
        self._open[user_id] += 1
        try:
            yield True
        finally:
            self._open[user_id] -= 1
            if not self._open[user_id]:
                del self._open[user_id]


@router.websocket(LIVE_PATH)
async def live_socket(
    websocket: WebSocket,
    last_event_id: Annotated[int | None, Query(alias="lastEventId", ge=0, le=LARGEST_NUMBER)] = None,
) -> None:
    """Serve one connection until the client leaves or its session ends."""
    caller = require_caller(websocket.scope)
    caller.require(Scope.ACCOUNT)
    open_sockets: OpenSockets = websocket.app.state.open_sockets
    with open_sockets.one_more(caller.user_id) as allowed:
        if not allowed:
            await _refuse(websocket)
            return
        await _serve(websocket, caller, last_event_id)


async def _refuse(websocket: WebSocket) -> None:
    socket = JsonSocket(websocket)
    await socket.accept()
    await socket.close(REFUSED, f"You have {MOST_SOCKETS} connections open, which is the most. Close one first.")


async def _serve(websocket: WebSocket, caller: Principal, last_event_id: int | None) -> None:
    services: AihubServices = websocket.app.state.services
    await services.live.join(caller.user_id)
    newest = await services.live.newest(caller.user_id)
    socket = JsonSocket(websocket)
    await socket.accept()
    await socket.send({"type": "connected", "data": {"lastEventId": newest}})
    # A number that was never given out is of another database: the feed was restored to what it was before.
    after = newest if last_event_id is None else min(last_event_id, newest)
    await LiveConnection(websocket, socket, services, caller.user_id).serve(after)


class LiveConnection:
    """One client's connection."""

    def __init__(self, websocket: WebSocket, socket: JsonSocket, services: AihubServices, user_id: str) -> None:
        self._scope = websocket.scope
        self._socket = socket
        self._services = services
        self._user_id = user_id

    async def serve(self, after: int) -> None:
        """Send events, and answer what the client says, until the client leaves or no more can be sent."""
        reading = asyncio.create_task(self._read(), name="live-reading")
        sending = asyncio.create_task(self._send_events(after), name="live-events")
        try:
            await asyncio.wait((reading, sending), return_when=asyncio.FIRST_COMPLETED)
            has_left = reading.done() and reading.exception() is None
        finally:
            reading.cancel()
            sending.cancel()
            ended = await asyncio.gather(reading, sending, return_exceptions=True)
        for failure in ended:
            if isinstance(failure, Exception) and not isinstance(failure, WebSocketDisconnect):
                log.warning("live connection failed", error=f"{type(failure).__name__}: {failure}")
                if not has_left:
                    await self._socket.close(FAILED, "Something failed here. Connect again with your last event id.")

    async def _read(self) -> None:
        async for message in self._socket.messages():
            await self._answer(message)

    async def _send_events(self, after: int) -> None:
        async with aclosing(self._services.live.follow(self._user_id, after)) as events:
            async for event in events:
                caller = await self._caller()
                if caller is None:
                    await self._socket.close(REFUSED, "The session has ended. Log in again.")
                    return
                if event is not None and _may_hear(caller, event):
                    await self._socket.send(_shown(event, self._services.credit_rate))

    async def _caller(self) -> Principal | None:
        """Whose the credential is, asked again for every event; None where it is good for this no more.

        Raises what keeps us from finding out, such as `DatabaseUnavailable`.
        """
        credential: str = self._scope["state"]["credential"]
        sessions = self._services.sessions
        try:
            caller = sessions.cached(credential) or await sessions.authenticate(credential)
        except DomainError as error:
            if error.kind in NO_MORE:
                return None
            raise
        return caller if caller.user_id == self._user_id and caller.allows(Scope.ACCOUNT) else None

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


def _may_hear(caller: Principal, event: LiveEvent) -> bool:
    return caller.allows(Scope.WALLET) or not event.kind.startswith(OF_THE_WALLET)


def _shown(event: LiveEvent, rate: CreditRate) -> dict[str, Any]:
    return {
        "type": "event",
        "id": event.number,
        "event": event.kind,
        "data": data_of(event.payload, rate),
        "timestamp": timestamp(event.created_at),
    }
