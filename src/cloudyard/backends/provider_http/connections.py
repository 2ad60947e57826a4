"""Connections that are kept for the next request."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from functools import cached_property, partial

import aiohappyeyeballs

from cloudyard.backends.provider_http.address import Address, place_of, request_head
from cloudyard.backends.provider_http.answer import Answer, BrokenConnection
from cloudyard.backends.provider_http.connection import Connection

NEXT_ADDRESS_SECONDS = 0.25
"""How long one of a host's addresses is tried alone (RFC 8305, 5)."""


class Connections:
    """Makes requests; what was answered to its end leaves a connection for the next.

    `connect_seconds` is the patience for a connection, TLS included, and one that was not used for `kept_seconds` is
    closed. Use it within one event loop.
    """

    def __init__(self, *, connect_seconds: float, kept_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._kept_seconds = kept_seconds
        self._idle: dict[Address, list[tuple[float, Connection]]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    async def post(
        self, base_url: str, path: str, headers: Mapping[str, str], body: bytes, *, patience: float, keep: bool = True
    ) -> Answer:
        """Send a request to a path below the URL and wait for the head of the answer, which the caller closes.

        Redirects are not followed. `patience` is the longest silence in seconds; the connection is used once unless
        `keep`. Raises `OSError` (`BrokenConnection`, `TimeoutError`) or `ValueError` for a URL or header that is none.
        """
        place = place_of(base_url)
        if not keep:
            headers = {**headers, "Connection": "close"}
        head = request_head(place, path, headers, len(body))
        connection = self._kept(place.address) or await self._connected(place.address)
        answer = connection.ask(head, body, patience, partial(self._done, place.address, connection, keep))
        try:
            await answer.begun()
        except BaseException:
            answer.close()
            raise
        return answer

    def close(self) -> None:
        """Close what is kept."""
        if self._sweep is not None:
            self._sweep.cancel()
        for kept in self._idle.values():
            for _, connection in kept:
                connection.close()
        self._idle.clear()

    def _kept(self, address: Address) -> Connection | None:
        """The one that was used last and that the server has not closed."""
        kept = self._idle.get(address)
        oldest = asyncio.get_running_loop().time() - self._kept_seconds
        while kept:
            since, connection = kept.pop()
            if connection.is_open and since > oldest:
                return connection
            connection.close()
        return None

    def _done(self, address: Address, connection: Connection, keep: bool) -> None:
        if not connection.let_go():
            return
        if not keep:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        self._idle.setdefault(address, []).append((loop.time(), connection))
        if self._sweep is None:
            self._sweep = loop.call_later(self._kept_seconds, self._close_idle)

    def _close_idle(self) -> None:
        """Close what was not used for long enough, and look again later if anything is left."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._kept_seconds
        for address, kept in list(self._idle.items()):
            young = [(since, connection) for since, connection in kept if since > oldest and connection.is_open]
            for entry in kept:
                if entry not in young:
                    entry[1].close()
            if young:
                self._idle[address] = young
            else:
                del self._idle[address]
        self._sweep = loop.call_later(self._kept_seconds, self._close_idle) if self._idle else None

    async def _connected(self, address: Address) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_seconds):
                found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
                sock = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS)
                _, connection = await loop.create_connection(
                    Connection,
                    sock=sock,
                    ssl=self._tls if address.tls else None,
                    server_hostname=address.host if address.tls else None,
                )
        except TimeoutError as error:
            raise BrokenConnection(f"it could not be connected to within {self._connect_seconds:g} s") from error
        return connection

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()
