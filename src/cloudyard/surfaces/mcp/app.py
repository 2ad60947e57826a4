"""The MCP surface: the official server over Streamable HTTP, behind this project's own gate.

It serves the stateless revision 2026-07-28 and, without sessions, the earlier ones. The caller is whoever the gate
found: an API key or an access token, as on every surface.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import Receive, Scope, Send

from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.surfaces.mcp.services import McpServices
from cloudyard.surfaces.mcp.tools import add_tools
from cloudyard.web.authentication import require_caller, sent_by_another_site

ABOUT_FOR_PEOPLE = "Tools for agents: ask models, see credits and history. Connect any MCP client to it."
ABOUT = (
    "Cloudyard, the team's own AI cloud: ask its models, and see credits and history. Asking a model costs credits; "
    "`wallet` tells what is left."
)


class ForeignOrigin(DomainError):
    """Another site's page sent the request (specification, Security)."""

    code = "foreign_origin"
    kind = ErrorKind.FORBIDDEN


class McpApp:
    """The surface as one ASGI app, to be served behind a `Gate` with `POLICY`, while `running`."""

    def __init__(self, services: McpServices) -> None:
        self._origins = frozenset(services.origins)
        self._server: MCPServer[Any] = MCPServer("Cloudyard", instructions=ABOUT, version=services.version)
        add_tools(self._server, services)
        self._app = self._server.streamable_http_app(
            streamable_http_path="/",
            stateless_http=True,
            # Origins are looked at below; hosts are whatever the proxy in front lets through.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve for as long as the context lasts."""
        async with self._server.session_manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of a known caller."""
        require_caller(scope)
        if sent_by_another_site(scope["method"], dict(scope["headers"]), self._origins):
            raise ForeignOrigin("Pages of this origin may not use MCP here. Add it to server.cors_origins to allow it.")
        if scope["path"] == scope.get("root_path", ""):
            scope = {**scope, "path": scope["path"] + "/"}  # its clients leave the slash out
        await self._app(scope, receive, send)
