"""uvicorn's WebSocket protocol, for which a refused handshake is a complete one."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """As uvicorn's, which forgets to note that a handshake was refused with an answer, and logs an error for each."""

    async def send(self, message: Any) -> None:
        """Send what the app says."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True
