"""The protocol's server, there from the first request on.

The library that speaks the protocol takes 15 MiB and most of a second to import, and many installations never use it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp

from cloudyard.surfaces.mcp.services import McpServices

if TYPE_CHECKING:
    from cloudyard.surfaces.mcp.server import ProtocolServer


class ServerOnDemand:
    """The server, opened when it is first asked for."""

    def __init__(self, services: McpServices) -> None:
        self._services = services
        self._wanted = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Be there to be asked for as long as the context lasts."""
        self._app: asyncio.Future[ASGIApp] = asyncio.get_running_loop().create_future()
        self._serving = asyncio.create_task(self._serve(), name="mcp-server")
        try:
            yield
        finally:
            self._serving.cancel()
            await asyncio.wait([self._serving])

    async def app(self) -> ASGIApp:
        """The protocol as an ASGI app, while `running`. Raises what kept it from opening."""
        if not self._app.done():
            self._wanted.set()
            either: tuple[asyncio.Future[Any], ...] = (self._app, self._serving)
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._app.done():
            await self._serving
        return self._app.result()

    async def _serve(self) -> None:
        """All in one task: the server's own task group must end where it began."""
        await self._wanted.wait()
        server = await asyncio.to_thread(_build, self._services)  # off the loop: others are being served meanwhile
        async with server.running():
            self._app.set_result(server.app)
            await asyncio.Event().wait()


def _build(services: McpServices) -> "ProtocolServer":
    server: ProtocolServer = import_module("cloudyard.surfaces.mcp.server").ProtocolServer(services)
    return server
