"""Who is calling."""

from typing import Any

from mcp.server.mcpserver import Context

from cloudyard.domains.identity import Principal
from cloudyard.surfaces.mcp.scopes import NEEDED_BY_TOOL

Ctx = Context[Any, Any]


def caller_of_tool(ctx: Ctx, tool: str) -> Principal:
    """Who is calling a tool. Raises `ScopeMissing` where the caller's credential does not reach so far."""
    caller = principal_of(ctx.request_context.request)
    needed = NEEDED_BY_TOOL[tool]
    if needed is not None:
        caller.require(needed)
    return caller


def principal_of(request: Any) -> Principal:
    """Who is calling, as the gate found out."""
    principal: Principal = _state(request)["principal"]
    return principal


def request_id_of(request: Any) -> str:
    """The id that the gate gave the HTTP request."""
    found: str = _state(request)["request_id"]
    return found


def credential_of(request: Any) -> str:
    """The credential that the caller sent."""
    found: str = _state(request)["credential"]
    return found


def _state(request: Any) -> dict[str, Any]:
    if request is None:
        raise RuntimeError("called outside of a request")
    state: dict[str, Any] = request.scope["state"]
    return state
