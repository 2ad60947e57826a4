"""The protocol's server, there from the first request on.

The library that speaks the protocol takes some 19 MiB and a third of a second, and many installations never use it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp

from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.surfaces.mcp.services import McpServices

if TYPE_CHECKING:
    from cloudyard.surfaces.mcp.server import ProtocolServer


class ServerStopping(DomainError):
    """The process ends before the server was opened."""

    code = "server_stopping"
    kind = ErrorKind.UNAVAILABLE


class ServerOnDemand:
    """The server, opened when it is first asked for. What kept it from opening, or ended it, is tried again."""

    def __init__(self, services: McpServices) -> None:
        self._services = services

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be there to be asked for as long as the context lasts."""
        self._start()
        try:
            yield
        finally:
            self._serving.cancel()
            await asyncio.wait([self._serving])

    async def app(self) -> ASGIApp:
        """The protocol as an ASGI app, while `running`. Raises what kept it from opening, or `ServerStopping`."""
        if self._serving.done() and not self._serving.cancelled():
            self._start()
        self._wanted.set()
        opened, serving = self._opened, self._serving
        if not opened.done():
            either: tuple[asyncio.Future[Any], ...] = (opened, serving)
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if serving.cancelled():
            raise ServerStopping("The server is stopping. Try again when it is back.", retry_after=1)
        if serving.done():
            serving.result()
        return opened.result()

    def _start(self) -> None:
        self._wanted = asyncio.Event()
        self._opened: asyncio.Future[ASGIApp] = asyncio.get_running_loop().create_future()
        self._serving = asyncio.create_task(self._serve(self._wanted, self._opened), name="mcp-server")

    async def _serve(self, wanted: asyncio.Event, opened: asyncio.Future[ASGIApp]) -> None:
        """All in one task: the server's own task group must end where it began."""
        await wanted.wait()
        server = await asyncio.to_thread(_build, self._services)  # off the loop: others are being served meanwhile
        async with server.running():
            opened.set_result(server.app)
            await asyncio.Event().wait()


def _build(services: McpServices) -> "ProtocolServer":
    server: ProtocolServer = import_module("cloudyard.surfaces.mcp.server").ProtocolServer(services)
    return server
