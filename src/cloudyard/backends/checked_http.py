"""HTTP to addresses that somebody else named: to those that were checked, and nowhere else.

The check is made where the socket is opened, with the very address that it is then connected to: neither a name that
resolves to something else the second time nor an odd spelling of an address gets round it.
"""

import asyncio
import socket
from collections.abc import Callable

import aiohttp
from aiohttp import AddrInfoType

from cloudyard.backends.name_lookup import NameLookup

CONNECT_SECONDS = 10.0
KEPT_ALIVE_SECONDS = 4.0
"""Shorter than the usual servers keep one (Node.js 5 s), so that none is used which is being closed."""

READ_SECONDS = 1.0
"""How long the beginning of a body is waited for once the head is there."""

CheckAddress = Callable[[str], None]


def checked_session(check_address: CheckAddress, *, timeout_seconds: float, user_agent: str) -> aiohttp.ClientSession:
    """A pool of connections without cookies. `check_address` raises for what is forbidden, and its error comes through.

    To be made where an event loop runs. Requests have to say `allow_redirects=False`.
    """

    def checked_socket(target: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = target
        check_address(str(address[0]))
        return socket.socket(family, kind, protocol)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,  # the callers bound it
            resolver=NameLookup(),
            socket_factory=checked_socket,
            happy_eyeballs_delay=None,  # with it, the refusal of an address would be lost among the tries
            keepalive_timeout=KEPT_ALIVE_SECONDS,
        ),
        timeout=aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=min(CONNECT_SECONDS, timeout_seconds)),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"User-Agent": user_agent},
    )


async def beginning_of(response: aiohttp.ClientResponse, most_bytes: int) -> str:
    """The first bytes of a body as text; whatever else it would send is not waited for.

    The head has told everything that matters: a body that does not come, or breaks off, is an empty text.
    """
    try:
        async with asyncio.timeout(READ_SECONDS):
            raw = await response.content.read(most_bytes)
    except (TimeoutError, aiohttp.ClientError, OSError):
        raw = b""
    if not response.content.at_eof():
        response.close()
    return raw.decode("utf-8", "replace").replace("\x00", "")
