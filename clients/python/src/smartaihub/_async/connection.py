"""Sending requests: with the credential, again after failures that pass, and translated into this library's errors."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import httpx2

from smartaihub._answers import error_of, translated, value_of
from smartaihub._credentials import Credentials
from smartaihub._errors import AuthenticationError, SmartAIHubError
from smartaihub._io.asynchronous import Lock, sleep
from smartaihub._requests import A, Request, post
from smartaihub._retries import RetryPolicy
from smartaihub._version import IDENTITY
from smartaihub.types.accounts import Refreshed
from smartaihub.types.base import Envelope

T = TypeVar("T")
R = TypeVar("R")


class AsyncConnection:
    """The way to one server, for everything that the client consists of."""

    def __init__(self, http: httpx2.AsyncClient, base_url: str, credentials: Credentials, retries: RetryPolicy) -> None:
        self.base_url = base_url
        self.credentials = credentials
        self.retries = retries
        self._http = http
        self._renewing = Lock()

    async def data(self, request: Request[Envelope[T]]) -> T:
        """What the answer's envelope holds."""
        return (await self.send(request)).data

    async def send(self, request: Request[A]) -> A:
        """The whole answer. Raises `SmartAIHubError`."""
        return value_of(request, await self._patiently(request, stream=False))

    @asynccontextmanager
    async def stream(self, request: Request[Any]) -> AsyncIterator[httpx2.Response]:
        """An answer that has begun; leaving the block closes its connection."""
        response = await self._patiently(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()

    async def authorised(self, send: Callable[[Mapping[str, str]], Awaitable[R]]) -> R:
        """What `send` gives with the credential's header; an access token that ran out is renewed once."""
        used = self.credentials.headers()
        try:
            return await send(used)
        except AuthenticationError:
            if not await self._renewed(used):
                raise
        return await send(self.credentials.headers())

    async def refresh(self) -> None:
        """Put new tokens in the place of those there are. Raises `AuthenticationError`."""
        await self._renewed(self.credentials.headers())

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _patiently(self, request: Request[Any], *, stream: bool) -> httpx2.Response:
        retry = 0
        send = partial(self._send, request, stream)
        while True:
            try:
                return await (self.authorised(send) if request.signed_in else send({}))
            except SmartAIHubError as failure:
                seconds = self.retries.wait(request, failure, retry)
                if seconds is None:
                    raise
            await sleep(seconds)
            retry += 1

    async def _send(self, request: Request[Any], stream: bool, credential: Mapping[str, str]) -> httpx2.Response:
        message = self._http.build_request(
            request.method,
            self.base_url + request.path,
            params=request.query,
            json=request.body,
            headers={**IDENTITY, **credential, **request.headers},
        )
        with translated():
            response = await self._http.send(message, stream=stream)
            if response.is_success:
                return response
            try:
                await response.aread()
            finally:
                await response.aclose()
        raise error_of(response)

    async def _renewed(self, used: Mapping[str, str]) -> bool:
        """Whether there are other tokens now than those that were used. A refresh token is good for one use only."""
        async with self._renewing:
            tokens = self.credentials.tokens
            if tokens is None:
                return False
            if self.credentials.headers() == used:
                request = post(
                    "/api/auth/refresh", Envelope[Refreshed], signed_in=False, refresh_token=tokens.refresh_token
                )
                self.credentials.keep((await self.data(request)).tokens)
            return True
