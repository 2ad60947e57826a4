"""Fan-out as a port: a message to everyone who listens to a topic at this moment, in every process.

Nothing is kept, and a message may be lost on its way: what must not be missed lies in rows, which a listener reads when
it begins, when it is told that it missed something, and every so often anyway.
"""

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from typing import Protocol

MOST_WAITING = 256
"""Messages that wait for a listener that is slow. One more, and it is told that it missed something."""


class Listener:
    """What one listener hears."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MOST_WAITING)
        self._missed = asyncio.Event()

    async def next(self, seconds: float) -> bytes | None:
        """The next message; None where some were missed, or none came within so many seconds: then look at the rows."""
        message: bytes | None = None
        if not self._missed.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    message = await self._waiting.get()
        if self._missed.is_set():
            self._forget()
            return None
        return message

    def hear(self, message: bytes) -> None:
        """Called by the backend."""
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self._missed.set()

    def miss(self) -> None:
        """Called by the backend when it may have lost messages."""
        self._missed.set()
        self.hear(b"")

    def _forget(self) -> None:
        self._missed.clear()
        while not self._waiting.empty():
            self._waiting.get_nowait()


class FanOut(Protocol):
    """Carries messages to listeners."""

    @property
    def name(self) -> str:
        """What carries them, for people: `memory`, `valkey`."""
        ...

    async def publish(self, topic: str, message: bytes) -> None:
        """Tell everyone who listens now. Never fails: a message that cannot be sent is lost."""
        ...

    def listen(self, topic: str) -> AbstractAsyncContextManager[Listener]:
        """Listen for as long as the context lasts."""
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...
