"""What a caller's credential must be good for."""

from collections.abc import Mapping
from types import MappingProxyType

from cloudyard.domains.identity import Scope

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
