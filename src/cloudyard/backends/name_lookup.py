"""Looking up names that somebody else chose: on threads of their own, since a name server may be silent for long.

The threads that asyncio lends to everybody also hash passwords and write files; a handful of names that hang would
hold all of them up.
"""

import socket
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult
from anyio import CapacityLimiter, to_thread

LOOKUPS_AT_ONCE = 32


class NameLookup(AbstractResolver):
    """Asks the system, as everybody does, for so many names at a time; further ones wait for their turn."""

    def __init__(self, at_once: int = LOOKUPS_AT_ONCE) -> None:
        self._turn = CapacityLimiter(at_once)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises OSError where there is none."""
        ask = partial(
            socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        found = await to_thread.run_sync(ask, abandon_on_cancel=True, limiter=self._turn)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is held open."""
