"""The MCP surface: the official server over Streamable HTTP, behind this project's own gate.

It serves the stateless revision 2026-07-28 and, without sessions, the earlier ones. The caller is whoever the gate
found: an API key or an access token as on every surface, or an application that a user let in.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import structlog
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from starlette.types import Receive, Scope, Send

from cloudyard.domains.identity import Principal
from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.surfaces.mcp.caller import needed_for
from cloudyard.surfaces.mcp.cancellation import Cancellations, cancelled_once
from cloudyard.surfaces.mcp.challenge import Challenges
from cloudyard.surfaces.mcp.resources import Resources
from cloudyard.surfaces.mcp.services import McpServices
from cloudyard.surfaces.mcp.subscriptions import Subscriptions
from cloudyard.surfaces.mcp.tools import add_tools
from cloudyard.web.authentication import require_caller, sent_by_another_site
from cloudyard.web.errors import MethodNotAllowed, ProblemRenderer, Rendered, RouteNotFound

log = structlog.get_logger(__name__)

NAME = "Cloudyard"
ABOUT_FOR_PEOPLE = "Tools for agents: ask models, see credits, files and history. Connect any MCP client to it."
ABOUT = (
    "Cloudyard, the team's own AI cloud: ask its models, keep files, and see credits and history. Asking a model costs "
    "credits; `wallet` tells what is left."
)

Ctx = ServerRequestContext[Any, Any]


class ForeignOrigin(DomainError):
    """Another site's page sent the request (specification, Security)."""

    code = "foreign_origin"
    kind = ErrorKind.FORBIDDEN


class McpApp:
    """The surface as one ASGI app, to be served behind a `Gate` with `POLICY`, while `running`."""

    def __init__(self, services: McpServices) -> None:
        self._origins = frozenset(services.origins)
        self._challenges = Challenges(services.public_url)
        self._server = _server(services)
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
        await self._app(scope, receive, send)

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


def _server(services: McpServices) -> Server[Any]:
    tools: MCPServer[Any] = MCPServer(NAME)
    add_tools(tools, services)
    resources = Resources(services)

    async def list_tools(_ctx: Ctx, _params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=await tools.list_tools())

    async def call_tool(ctx: Ctx, params: CallToolRequestParams) -> CallToolResult | InputRequiredResult:
        context: Context[Any, Any] = Context(request_context=ctx, mcp_server=tools, input_params=params)
        try:
            return await cancelled_once(tools.call_tool(params.name, params.arguments or {}, context))
        except ToolError as error:
            if isinstance(error, UnexpectedToolError):
                log.error("tool failed", tool=params.name, exc_info=error)
            return CallToolResult(content=[TextContent(type="text", text=str(error))], is_error=True)

    server: Server[Any] = Server(
        NAME,
        version=services.version,
        instructions=ABOUT,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=resources.page,
        on_list_resource_templates=resources.templates,
        on_read_resource=resources.read,
        on_subscriptions_listen=Subscriptions(services).listen,
    )
    server.middleware.append(Cancellations())
    return server


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
