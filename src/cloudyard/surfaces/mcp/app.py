"""The MCP surface, behind this project's own gate: who may speak to the server, from where, and how.

The caller is whoever the gate found: an API key or an access token as on every surface, or an application that a user
let in.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from starlette.types import Receive, Scope, Send

from cloudyard.domains.identity import Principal
from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.surfaces.mcp.challenge import Challenges
from cloudyard.surfaces.mcp.on_demand import ServerOnDemand
from cloudyard.surfaces.mcp.scopes import needed_for
from cloudyard.surfaces.mcp.services import McpServices
from cloudyard.web.authentication import require_caller, sent_by_another_site
from cloudyard.web.errors import MethodNotAllowed, ProblemRenderer, Rendered, RouteNotFound

ABOUT_FOR_PEOPLE = "Tools for agents: ask models, see credits, files and history. Connect any MCP client to it."


class ForeignOrigin(DomainError):
    """Another site's page sent the request (specification, Security)."""

    code = "foreign_origin"
    kind = ErrorKind.FORBIDDEN


class McpApp:
    """The surface as one ASGI app, to be served behind a `Gate` with `POLICY`, while `running`."""

    def __init__(self, services: McpServices) -> None:
        self._origins = frozenset(services.origins)
        self._challenges = Challenges(services.public_url)
        self._server = ServerOnDemand(services)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve for as long as the context lasts."""
        async with self._server.running():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of a known caller."""
        if scope["type"] == "websocket":
            raise RouteNotFound("MCP is spoken over HTTP here, not over a WebSocket.")
        headers = dict(scope["headers"])
        refusal = self._refusal(scope, headers) or _other_method(scope)
        if refusal is not None:
            await _send(send, refusal)
            return
        if sent_by_another_site(scope["method"], headers, self._origins):
            raise ForeignOrigin("Pages of this origin may not use MCP here. Add it to server.cors_origins to allow it.")
        if scope["path"] == scope.get("root_path", ""):
            scope = {**scope, "path": scope["path"] + "/"}  # its clients leave the slash out
        app = await self._server.app()
        await app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> Rendered | None:
        """What tells a client to ask its user; None for a caller who may go on."""
        try:
            caller = require_caller(scope)
        except DomainError as error:
            if error.kind is not ErrorKind.UNAUTHENTICATED:
                raise
            return self._challenges.unknown(error, scope)
        return self._too_little(caller, scope, headers) if caller.delegation is not None else None

    def _too_little(self, caller: Principal, scope: Scope, headers: dict[bytes, bytes]) -> Rendered | None:
        """An application may ask its user for more; what it sends besides these headers is checked by each tool."""
        method, name = (headers.get(header, b"").decode("latin-1") for header in (b"mcp-method", b"mcp-name"))
        needed = needed_for(method, name)
        if needed is None:
            return None
        try:
            caller.require(needed)
        except DomainError as error:
            return self._challenges.too_little(error, scope, needed)
        return None


def _other_method(scope: Scope) -> Rendered | None:
    """Without sessions there is nothing to GET and nothing to DELETE (2025-11-25, Transports)."""
    if scope["method"] == "POST":
        return None
    error = MethodNotAllowed("MCP is spoken by POST here: there is no stream to GET, and no session to DELETE.")
    problem = ProblemRenderer().render(error, scope["state"]["request_id"])
    return replace(problem, headers=(*problem.headers, (b"allow", b"POST")))


async def _send(send: Send, refusal: Rendered) -> None:
    await send({"type": "http.response.start", "status": refusal.status, "headers": refusal.all_headers()})
    await send({"type": "http.response.body", "body": refusal.body})
