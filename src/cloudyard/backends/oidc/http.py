"""Requests to identity providers: no redirects, bounded answers, and failures in our own words."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeVar

import aiohttp
import msgspec

from cloudyard import __version__
from cloudyard.domains.identity import IdentityProviderRefused, IdentityProviderUnavailable

LARGEST_ANSWER = 512 * 1024
RETRY_SECONDS = 5.0
WORTH_ANOTHER_TRY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})

T = TypeVar("T")


class ProviderHttp:
    """Talks to all providers over one pool of connections. How long a request may take is its caller's matter."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """GET; status and body. Raises `IdentityProviderUnavailable`, `IdentityProviderRefused`."""
        return await self._send("GET", url, headers=headers)

    async def post(self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """POST a form; status and body. Raises `IdentityProviderUnavailable`, `IdentityProviderRefused`."""
        return await self._send("POST", url, form=form, headers=headers)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def _send(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        accepted = {"Accept": "application/json", **(headers or {})}
        try:
            async with self._opened().request(
                method, url, data=form, headers=accepted, allow_redirects=False
            ) as response:
                body = await response.content.read(LARGEST_ANSWER + 1)
                while len(body) <= LARGEST_ANSWER and not response.content.at_eof():
                    body += await response.content.read(LARGEST_ANSWER + 1 - len(body))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise IdentityProviderUnavailable(
                "The identity provider cannot be reached. Try again shortly.",
                retry_after=RETRY_SECONDS,
                for_operators=reason[:300],
            ) from error
        if len(body) > LARGEST_ANSWER:
            raise IdentityProviderRefused(f"The identity provider's answer is longer than {LARGEST_ANSWER} bytes.")
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR or response.status in WORTH_ANOTHER_TRY:
            raise IdentityProviderUnavailable(
                f"The identity provider failed with {response.status}. Try again shortly.", retry_after=RETRY_SECONDS
            )
        return response.status, body

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"Cloudyard/{__version__}"},
            )
        return self._session


def decoded(body: bytes, kind: type[T], what: str) -> T:
    """An answer in its declared shape. Raises `IdentityProviderRefused`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise IdentityProviderRefused(
            f"The identity provider's {what} cannot be read: {error}. Report it to whoever runs the provider."
        ) from error
