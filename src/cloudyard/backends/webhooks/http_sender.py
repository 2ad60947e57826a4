"""Posts webhooks over HTTP, to addresses that were checked, and nowhere else.

The check is made where the socket is opened, with the very address that it is then connected to: neither a name that
resolves to something else the second time nor an odd spelling of an address gets round it. Redirects are not followed.
"""

import socket
from collections.abc import Callable

import aiohttp
from aiohttp import AddrInfoType

from cloudyard import __version__
from cloudyard.domains.webhooks import Answer, Message, TargetForbidden, TargetUnreachable

SHOWN_BYTES = 500
CONNECT_SECONDS = 10.0
KEPT_ALIVE_SECONDS = 4.0
"""Shorter than the usual servers keep one (Node.js 5 s), so that none is used which is being closed."""
USER_AGENT = f"Cloudyard-Webhooks/{__version__}"

CheckAddress = Callable[[str], None]


class HttpSender:
    """Posts messages over one pool of connections. `check_address` raises `TargetForbidden` for what is forbidden."""

    def __init__(self, check_address: CheckAddress, *, timeout_seconds: float) -> None:
        self._check_address = check_address
        self._timeout = timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: Message) -> Answer:
        """Post a message and read the beginning of the answer. Raises `TargetForbidden`, `TargetUnreachable`."""
        try:
            async with self._opened().post(
                message.url, data=message.body, headers=message.headers, allow_redirects=False
            ) as response:
                text = await _beginning(response)
        except TargetForbidden:
            raise
        except TimeoutError as error:
            raise TargetUnreachable(
                f"The receiver did not answer within {self._timeout:g} s. Have it answer first and work afterwards."
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise TargetUnreachable(
                f"The receiver cannot be reached: {reason[:500]}. Check the webhook's URL and that its server runs."
            ) from error
        location = response.headers.get("Location") if 300 <= response.status < 400 else None
        return Answer(response.status, location, text)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,  # the workers bound it: so many deliveries to so many endpoints
                    socket_factory=self._checked_socket,
                    happy_eyeballs_delay=None,  # with it, the refusal of an address would be lost among the tries
                    keepalive_timeout=KEPT_ALIVE_SECONDS,
                ),
                timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=min(CONNECT_SECONDS, self._timeout)),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"User-Agent": USER_AGENT},
            )
        return self._session

    def _checked_socket(self, target: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = target
        self._check_address(str(address[0]))
        return socket.socket(family, kind, protocol)


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """The first bytes of the body; whatever else it would send is not waited for."""
    raw = await response.content.read(SHOWN_BYTES)
    if not response.content.at_eof():
        response.close()
    return raw.decode("utf-8", "replace").replace("\x00", "")
