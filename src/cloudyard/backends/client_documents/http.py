"""Reads the metadata documents of OAuth clients over HTTPS.

Whoever opens the consent page chooses the address, so it is treated as hostile: only checked addresses are reached,
redirects are not followed, and little is read for a short time (draft-ietf-oauth-client-id-metadata-document, sections
6.5 and 6.6).
"""

import asyncio
import ssl

import aiohttp

from cloudyard import __version__
from cloudyard.backends.checked_http import CheckAddress, checked_session
from cloudyard.domains.identity import ClientDocumentUnavailable
from cloudyard.foundation.outbound_addresses import AddressForbidden

MOST_BYTES = 16 * 1024
TIMEOUT_SECONDS = 5.0
AT_ONCE = 20
USER_AGENT = f"Cloudyard/{__version__}"
ONCE = {"Connection": "close", "Accept": "application/json"}


class HttpClientDocuments:
    """Reads documents. `check_address` raises `AddressForbidden` for an address that must not be reached."""

    def __init__(self, check_address: CheckAddress, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._check_address = check_address
        self._timeout = timeout_seconds
        self._free = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None

    async def read(self, url: str) -> bytes:
        """The document, if it is a small one. Raises `ClientDocumentUnavailable`, also where too many are read."""
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._free,
                self._opened().get(url, allow_redirects=False, ssl=self._trusted(), headers=ONCE) as response,
            ):
                return await _document(response)
        except AddressForbidden as error:
            raise _unavailable("it lies at an address that is not of the public internet") from error
        except TimeoutError as error:
            why = f"its server did not answer within {self._timeout:g} s, or those of too many others did not"
            raise _unavailable(why) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _unavailable(f"its server cannot be reached ({type(error).__name__})") from error

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = checked_session(self._check_address, timeout_seconds=self._timeout, user_agent=USER_AGENT)
        return self._session

    def _trusted(self) -> ssl.SSLContext:
        """The certificates that this machine trusts."""
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


async def _document(response: aiohttp.ClientResponse) -> bytes:
    if response.status != 200:
        raise _unavailable(f"its server answered with status {response.status}")
    if response.content_type != "application/json" and not response.content_type.endswith("+json"):
        raise _unavailable(f"it is {response.content_type} and not JSON")
    read = bytearray()
    async for piece in response.content.iter_any():
        read += piece
        if len(read) > MOST_BYTES:
            response.close()
            raise _unavailable(f"it is larger than {MOST_BYTES} bytes")
    return bytes(read)


def _unavailable(why: str) -> ClientDocumentUnavailable:
    return ClientDocumentUnavailable(
        f"The document that tells of this application cannot be read: {why}. Tell whoever makes the application.",
        field="client_id",
    )
