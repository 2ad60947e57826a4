"""Looking up names that somebody else chose: on threads of their own, since a name server may be silent for long.

The threads that asyncio lends to everybody also hash passwords and write files; a handful of names that hang would
hold all of them up.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

LOOKUPS_AT_ONCE = 32
LONGEST_SECONDS = 10.0
"""How long a name is waited for, its turn included: aiohttp shields lookups, so that who gave up would stay in line."""


class NameLookup(AbstractResolver):
    """Asks the system, as everybody does, for so many names at a time; further ones wait for their turn.

    Nothing ends a thread that asks: it keeps its place until it has its answer, though its caller may be long gone.
    """

    def __init__(self, at_once: int = LOOKUPS_AT_ONCE, *, longest_seconds: float = LONGEST_SECONDS) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="name lookup")
        self._longest = longest_seconds

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises OSError where there is none, and TimeoutError."""
        ask = partial(
            socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        async with asyncio.timeout(self._longest):
            found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
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
        """Forget who waits; what is being asked comes to its end by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
