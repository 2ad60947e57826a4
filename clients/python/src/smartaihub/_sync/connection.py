"""Sending requests: with the credential, again after failures that pass, and translated into this library's errors."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import httpx2

from smartaihub._answers import error_of, translated, value_of
from smartaihub._credentials import Credentials
from smartaihub._errors import AuthenticationError, SmartAIHubError
from smartaihub._io.synchronous import Lock, sleep
from smartaihub._requests import A, Request, post
from smartaihub._retries import RetryPolicy
from smartaihub._version import IDENTITY
from smartaihub.types.accounts import Refreshed
from smartaihub.types.base import Envelope

T = TypeVar("T")
R = TypeVar("R")


class Connection:
    """The way to one server, for everything that the client consists of."""

    def __init__(self, http: httpx2.Client, base_url: str, credentials: Credentials, retries: RetryPolicy) -> None:
        self.base_url = base_url
        self.credentials = credentials
        self.retries = retries
        self._http = http
        self._renewing = Lock()

    def data(self, request: Request[Envelope[T]]) -> T:
        """What the answer's envelope holds."""
        return (self.send(request)).data

    def send(self, request: Request[A]) -> A:
        """The whole answer. Raises `SmartAIHubError`."""
        return value_of(request, self._patiently(request, stream=False))

    @contextmanager
    def stream(self, request: Request[Any]) -> Iterator[httpx2.Response]:
        """An answer that has begun; leaving the block closes its connection."""
        response = self._patiently(request, stream=True)
        try:
            yield response
        finally:
            response.close()

    def authorised(self, send: Callable[[Mapping[str, str]], R]) -> R:
        """What `send` gives with the credential's header; an access token that ran out is renewed once."""
        used = self.credentials.headers()
        try:
            return send(used)
        except AuthenticationError:
            if not self._renewed(used):
                raise
        return send(self.credentials.headers())

    def refresh(self) -> None:
        """Put new tokens in the place of those there are. Raises `AuthenticationError`."""
        self._renewed(self.credentials.headers())

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _patiently(self, request: Request[Any], *, stream: bool) -> httpx2.Response:
        retry = 0
        send = partial(self._send, request, stream)
        while True:
            try:
                return self.authorised(send) if request.signed_in else send({})
            except SmartAIHubError as failure:
                seconds = self.retries.wait(request, failure, retry)
                if seconds is None:
                    raise
            sleep(seconds)
            retry += 1

    def _send(self, request: Request[Any], stream: bool, credential: Mapping[str, str]) -> httpx2.Response:
        message = self._http.build_request(
            request.method,
            self.base_url + request.path,
            params=request.query,
            json=request.body,
            headers={**IDENTITY, **credential, **request.headers},
        )
        with translated():
            response = self._http.send(message, stream=stream)
            if response.is_success:
                return response
            try:
                response.read()
            finally:
                response.close()
        raise error_of(response)

    def _renewed(self, used: Mapping[str, str]) -> bool:
        """Whether there are other tokens now than those that were used. A refresh token is good for one use only."""
        with self._renewing:
            tokens = self.credentials.tokens
            if tokens is None:
                return False
            if self.credentials.headers() == used:
                request = post(
                    "/api/auth/refresh", Envelope[Refreshed], signed_in=False, refresh_token=tokens.refresh_token
                )
                self.credentials.keep((self.data(request)).tokens)
            return True
