"""The official server over Streamable HTTP, with this project's tools and resources.

It serves the stateless revision 2026-07-28 and, without sessions, the earlier ones.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
from starlette.types import ASGIApp

from cloudyard.surfaces.mcp.cancellation import Cancellations, cancelled_once
from cloudyard.surfaces.mcp.resources import Resources
from cloudyard.surfaces.mcp.services import McpServices
from cloudyard.surfaces.mcp.subscriptions import Subscriptions
from cloudyard.surfaces.mcp.tools import add_tools

log = structlog.get_logger(__name__)

NAME = "Cloudyard"
ABOUT = (
    "Cloudyard, the team's own AI cloud: ask its models, keep files, and see credits and history. Asking a model costs "
    "credits; `wallet` tells what is left."
)

Ctx = ServerRequestContext[Any, Any]


class ProtocolServer:
    """The protocol as an ASGI app, to be served while `running`."""

    def __init__(self, services: McpServices) -> None:
        self._server = _server(services)
        self.app: ASGIApp = self._server.streamable_http_app(
            streamable_http_path="/",
            stateless_http=True,
            # Origins are looked at in front of it; hosts are whatever the proxy in front lets through.
            transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve for as long as the context lasts."""
        async with self._server.session_manager.run():
            yield


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
