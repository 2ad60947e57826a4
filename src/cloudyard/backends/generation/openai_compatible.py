"""Any OpenAI-compatible server (llama.cpp's own, vLLM, Ollama, a hosted one) behind the `Provider` port."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp
from aiohttp.client import _RequestContextManager

from cloudyard.backends.generation.failures import failure_of, unreachable
from cloudyard.domains.inference import Endpoint, ProviderUnavailable
from cloudyard.foundation.errors import DomainError

MOST_CONNECTIONS = 1024
CONNECT_SECONDS = 5.0
KEPT_ALIVE_SECONDS = 4.0
"""Shorter than the usual servers keep one (llama.cpp 5 s), so that none is used which is being closed."""
LARGEST_EVENT = 1024 * 1024
PREFIX = b"data:"
DONE = b"[DONE]"

Headers = Callable[[], Mapping[str, str]]


class OpenAICompatible:
    """Talks to OpenAI-compatible servers over one pool of connections.

    `trace_headers` gives the headers that carry the current trace on.
    """

    def __init__(self, trace_headers: Headers) -> None:
        self._trace_headers = trace_headers
        self._session: aiohttp.ClientSession | None = None

    async def call(self, endpoint: Endpoint, path: str, body: bytes, timeout: float) -> bytes:
        """POST and return the whole answer's body."""
        try:
            async with self._post(endpoint, path, body, timeout) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(error, timeout) from error
        if response.status != HTTPStatus.OK:
            raise failure_of(response, answer)
        return answer

    @asynccontextmanager
    async def stream(
        self, endpoint: Endpoint, path: str, body: bytes, timeout: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """POST and give out the data of each event; leaving closes the connection."""
        try:
            response = await self._post(endpoint, path, body, timeout)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(error, timeout) from error
        try:
            if response.status != HTTPStatus.OK:
                raise await _failure_of_stream(response, timeout)
            yield _events(response)
        finally:
            response.close()

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _post(self, endpoint: Endpoint, path: str, body: bytes, timeout: float) -> "_RequestContextManager":
        limits = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_read=timeout)
        headers = self._headers(endpoint)
        return self._opened().post(endpoint.base_url + path, data=body, headers=headers, timeout=limits)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=MOST_CONNECTIONS, keepalive_timeout=KEPT_ALIVE_SECONDS)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    def _headers(self, endpoint: Endpoint) -> dict[str, str]:
        headers = {"Content-Type": "application/json", **self._trace_headers()}
        if endpoint.api_key:
            headers["Authorization"] = f"Bearer {endpoint.api_key}"
        if not endpoint.keeps_connections:
            headers["Connection"] = "close"
        return headers


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The data lines of a stream of server-sent events, up to its [DONE].

    A stream that ends without one has broken off. Raises `ProviderUnavailable`, once every whole event that
    came was given out.
    """
    pending = bytearray()
    broken: Exception | None = None
    while broken is None:
        try:
            piece = await response.content.readany()
        except (aiohttp.ClientError, asyncio.IncompleteReadError, TimeoutError) as error:
            broken, piece = error, _unread(response.content)
        if not piece and broken is None:
            raise ProviderUnavailable("The provider broke off: its stream ended early.")
        pending += piece
        if len(pending) > LARGEST_EVENT:
            raise ProviderUnavailable("The provider sent an event that is too large.")
        for data in _taken_from(pending):
            if data == DONE:
                return
            yield data
    raise ProviderUnavailable(f"The provider broke off: {_reason(broken)}.") from broken


def _reason(broken: Exception) -> str:
    if isinstance(broken, TimeoutError):
        return "it fell silent"
    return "the connection to it was lost"


def _taken_from(pending: bytearray) -> Iterator[bytes]:
    """Take whole lines off the front, and give out what those of data say."""
    while (end := pending.find(b"\n")) >= 0:
        line = bytes(pending[:end]).strip()
        del pending[: end + 1]
        if line.startswith(PREFIX):
            yield line[len(PREFIX) :].strip()


def _unread(content: aiohttp.StreamReader) -> bytes:
    """What had come before the connection broke: aiohttp tells of the end before it gives that out."""
    return content._read_nowait(-1)  # its public twin raises what broke the connection


async def _failure_of_stream(response: aiohttp.ClientResponse, timeout: float) -> DomainError:
    try:
        return failure_of(response, await response.read())
    except (aiohttp.ClientError, TimeoutError) as error:
        return unreachable(error, timeout)
