"""Who is really calling: X-Forwarded-* is believed from configured proxies and from nobody else."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import Scope

UNKNOWN = "unknown"


class TrustedProxies:
    """The networks whose forwarding headers are believed. Raises ValueError for what is no address or network."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._networks = [ip_network(address, strict=False) for address in addresses]

    def client(self, scope: Scope) -> tuple[str, bool]:
        """The caller's address, and whether it came by https.

        Of X-Forwarded-For the last address counts that no trusted proxy has: everything left of it may be made up.
        """
        peer = scope["client"][0] if scope.get("client") else UNKNOWN
        https = scope["scheme"] in ("https", "wss")
        if not self._networks or not self._trusts(peer):
            return peer, https
        forwarded = _list_header(scope, b"x-forwarded-for")
        protocols = _list_header(scope, b"x-forwarded-proto")
        if protocols:
            https = protocols[-1].lower() in ("https", "wss")
        return next((a for a in reversed(forwarded) if not self._trusts(a)), forwarded[0] if forwarded else peer), https

    def _trusts(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._networks)


def limit_key_of(address: str) -> str:
    """What an address counts as in limits: an IPv6 caller is its /64, of which it can use every address."""
    if ":" not in address:
        return address
    parsed = _parsed(address)
    if parsed is None:
        return address
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return str(IPv6Network((parsed, 64), strict=False))


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def _list_header(scope: Scope, name: bytes) -> list[str]:
    joined = b",".join(value for key, value in scope["headers"] if key == name)
    return [part.strip() for part in joined.decode("latin-1").split(",") if part.strip()]
