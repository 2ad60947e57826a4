"""Who is calling, and what the caller's credential must be good for."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mcp.server.mcpserver import Context

from cloudyard.domains.identity import Principal, Scope

Ctx = Context[Any, Any]

NEEDED_BY_TOOL: Mapping[str, Scope | None] = MappingProxyType(
    {
        "list_models": None,
        "chat": Scope.INFERENCE,
        "chat_history": Scope.INFERENCE,
        "wallet": Scope.WALLET,
        "credit_history": Scope.WALLET,
        "list_files": Scope.FILES,
        "read_file": Scope.FILES,
        "upload_file": Scope.FILES,
        "delete_file": Scope.FILES,
    }
)
NEEDED_BY_RESOURCE: Mapping[str, Scope] = MappingProxyType(
    {
        "cloudyard://wallet": Scope.WALLET,
        "cloudyard://chat-history": Scope.INFERENCE,
        "cloudyard://files/": Scope.FILES,
    }
)


def needed_for(method: str, name: str) -> Scope | None:
    """What a call needs, told by its method and by what it is about (`Mcp-Method` and `Mcp-Name`)."""
    if method == "tools/call":
        return NEEDED_BY_TOOL.get(name)
    if method == "resources/read":
        return next((scope for prefix, scope in NEEDED_BY_RESOURCE.items() if name.startswith(prefix)), None)
    return None


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
