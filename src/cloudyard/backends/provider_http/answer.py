"""The answer to a request, as it comes in."""

import asyncio
from collections.abc import Callable, Mapping

ENOUGH_HELD = 256 * 1024
"""Bytes that have come and that nobody has taken: so many are not read ahead of a slow reader."""


class BrokenConnection(ConnectionError):
    """No connection could be made, or it ended before the answer did, or what came over it is no HTTP."""


class Answer:
    """Status and headers, and the body as it comes. Whoever has one closes it.

    What came is given out before the failure that ended it. Every method that waits raises `BrokenConnection`, or
    `TimeoutError` where the server has fallen silent.
    """

    def __init__(self, on_close: Callable[[], None], on_room: Callable[[], None]) -> None:
        self.status = 0
        self.reason = ""
        self._headers: Mapping[str, str] = {}
        self._on_close: Callable[[], None] | None = on_close
        self._on_room = on_room
        self._pieces: list[bytes] = []
        self._held = 0
        self._ended = False
        self._failure: Exception | None = None
        self._reader: asyncio.Future[None] | None = None

    def header(self, name: str) -> str | None:
        """A header's value; `name` in lower case."""
        return self._headers.get(name)

    async def begun(self) -> None:
        """Wait for the status and the headers."""
        while not self.status:
            await self._news()

    async def piece(self) -> bytes:
        """Wait for some of the body: all that has come since the last piece. Empty at the end."""
        while not self._pieces:
            if self._ended:
                return b""
            await self._news()
        return self._taken()

    async def read(self) -> bytes:
        """The rest of the body."""
        pieces = []
        while piece := await self.piece():
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Let go of the connection: it can serve the next request if this one was answered to the end, else it is
        closed, which tells the server that nobody waits any more."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    @property
    def is_complete(self) -> bool:
        """Whether all of it has come."""
        return self._ended

    @property
    def is_enough(self) -> bool:
        """Whether more should wait until some of this has been taken."""
        return self._held >= ENOUGH_HELD

    def begin(self, status: int, reason: str, headers: Mapping[str, str]) -> None:
        """The head has come."""
        self.status, self.reason, self._headers = status, reason, headers

    def add(self, piece: bytes) -> None:
        """Some of the body has come."""
        self._pieces.append(piece)
        self._held += len(piece)

    def end(self) -> None:
        """All of the body has come, unless it was given up before."""
        self._ended = self._failure is None

    def fail(self, failure: Exception) -> None:
        """Nothing more will come, unless all had."""
        if not self._ended and self._failure is None:
            self._failure = failure
        self.wake()

    def wake(self) -> None:
        """Have the reader look again."""
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _taken(self) -> bytes:
        taken = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        if self.is_enough:
            self._on_room()
        self._held = 0
        return taken

    def _news(self) -> asyncio.Future[None]:
        if self._failure is not None:
            raise self._failure
        self._reader = asyncio.get_running_loop().create_future()
        return self._reader
