"""Any OpenAI-compatible server (llama.cpp's own, vLLM, Ollama, a hosted one) behind the `Provider` port."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

from cloudyard.backends.generation.failures import failure_of, unreachable
from cloudyard.backends.provider_http import Answer, Connections
from cloudyard.domains.inference import Endpoint, ProviderUnavailable
from cloudyard.foundation.clock import Clock

CONNECT_SECONDS = 5.0
KEPT_ALIVE_SECONDS = 4.0
"""Shorter than the usual servers keep one (llama.cpp 5 s), so that none is used which is being closed."""
LARGEST_EVENT = 1024 * 1024
PREFIX = b"data:"
DONE = b"[DONE]"

HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "cloudyard"}

Headers = Callable[[], Mapping[str, str]]


class OpenAICompatible:
    """Talks to OpenAI-compatible servers over one pool of connections.

    `trace_headers` gives the headers that carry the current trace on.
    """

    def __init__(self, trace_headers: Headers, clock: Clock) -> None:
        self._trace_headers = trace_headers
        self._clock = clock
        self._connections = Connections(connect_seconds=CONNECT_SECONDS, kept_seconds=KEPT_ALIVE_SECONDS)

    async def call(self, endpoint: Endpoint, path: str, body: bytes, timeout: float) -> bytes:
        """POST and return the whole answer's body."""
        answer = await self._post(endpoint, path, body, timeout)
        data = await _body_of(answer, timeout)
        if answer.status != HTTPStatus.OK:
            raise failure_of(answer, data, asked=body, now=self._clock.now())
        return data

    @asynccontextmanager
    async def stream(
        self, endpoint: Endpoint, path: str, body: bytes, timeout: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """POST and give out the data of each event; leaving closes the connection, unless all of it was read."""
        answer = await self._post(endpoint, path, body, timeout)
        try:
            if answer.status != HTTPStatus.OK:
                raise failure_of(answer, await _body_of(answer, timeout), asked=body, now=self._clock.now())
            yield _events(answer)
        finally:
            answer.close()

    async def close(self) -> None:
        """Close every connection."""
        self._connections.close()

    async def _post(self, endpoint: Endpoint, path: str, body: bytes, timeout: float) -> Answer:
        try:
            return await self._connections.post(
                endpoint.base_url,
                path,
                self._headers(endpoint),
                body,
                patience=timeout,
                keep=endpoint.keeps_connections,
            )
        except (OSError, ValueError) as error:
            raise unreachable(error, timeout) from error

    def _headers(self, endpoint: Endpoint) -> dict[str, str]:
        headers = {**HEADERS, **self._trace_headers()}
        if endpoint.api_key:
            headers["Authorization"] = f"Bearer {endpoint.api_key}"
        return headers


async def _body_of(answer: Answer, timeout: float) -> bytes:
    """The whole body. Raises `ProviderUnavailable`."""
    try:
        return await answer.read()
    except OSError as error:
        raise unreachable(error, timeout) from error
    finally:
        answer.close()


async def _events(answer: Answer) -> AsyncIterator[bytes]:
    """The data lines of a stream of server-sent events, up to its [DONE].

    A stream that ends without one has broken off. Raises `ProviderUnavailable`, for that once every whole event that
    came was given out.
    """
    pending = bytearray()
    try:
        while piece := await answer.piece():
            pending += piece
            if len(pending) > LARGEST_EVENT:
                raise ProviderUnavailable("The provider sent an event that is too large.")
            if b"\n" not in piece:
                continue
            *lines, pending = pending.split(b"\n")
            for line in lines:
                if not line.startswith(PREFIX):
                    continue
                data = bytes(line[len(PREFIX) :].strip())
                if data == DONE:
                    return
                yield data
    except TimeoutError as error:
        raise ProviderUnavailable("The provider broke off: it fell silent.") from error
    except OSError as error:
        raise ProviderUnavailable("The provider broke off: the connection to it was lost.") from error
    raise ProviderUnavailable("The provider broke off: its stream ended early.")
