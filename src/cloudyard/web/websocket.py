"""WebSockets that carry JSON messages: bounded in size, closed with a reason. The server itself sends the pings."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from cloudyard.foundation.errors import DomainError
from cloudyard.web.errors import ClientLeft
from cloudyard.web.json_body import parse_json

# RFC 6455, section 7.4.1
NORMAL = 1000
GOING_AWAY = 1001
TOO_BIG = 1009
LARGEST_MESSAGE = 256 * 1024
LONGEST_REASON = 120


class JsonSocket:
    """A WebSocket of JSON messages. The gate has identified the caller before it comes to exist."""

    def __init__(self, websocket: WebSocket, *, largest_message: int = LARGEST_MESSAGE) -> None:
        self._websocket = websocket
        self._largest = largest_message

    async def accept(self) -> None:
        """Complete the handshake. Raises `ClientLeft`."""
        try:
            await self._websocket.accept()
        except OSError as error:
            raise ClientLeft from error

    async def messages(self) -> AsyncIterator[Any]:
        """Every message until the client closes; a `DomainError` in place of one that cannot be read.

        A message that is too large ends the connection with code 1009.
        """
        while True:
            try:
                received = await self._websocket.receive()
            except WebSocketDisconnect:
                return
            if received["type"] == "websocket.disconnect":
                return
            text = received.get("text")
            body: bytes = text.encode() if text is not None else received.get("bytes") or b""
            if len(body) > self._largest:
                await self.close(TOO_BIG, f"A message may have {self._largest} bytes.")
                return
            yield _read(body)

    async def send(self, message: object) -> None:
        """Send a message; does nothing when the client has gone."""
        if self._websocket.application_state is not WebSocketState.CONNECTED:
            return
        await self._websocket.send_text(msgspec.json.encode(message, enc_hook=str).decode())

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close with a code and a reason; does nothing when it is closed already."""
        if self._websocket.application_state is WebSocketState.CONNECTED:
            await self._websocket.close(code, reason[:LONGEST_REASON])


def _read(body: bytes) -> Any:
    try:
        return parse_json(body)
    except DomainError as error:
        return error
