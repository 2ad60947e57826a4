"""Posts webhooks over HTTP, to addresses that were checked, and nowhere else. Redirects are not followed."""

import aiohttp

from cloudyard import __version__
from cloudyard.backends.checked_http import CheckAddress, beginning_of, checked_session
from cloudyard.domains.webhooks import Answer, Message, TargetUnreachable
from cloudyard.foundation.durable.failures import storable_text
from cloudyard.foundation.outbound_addresses import AddressForbidden

SHOWN_BYTES = 500
USER_AGENT = f"Cloudyard-Webhooks/{__version__}"


class HttpSender:
    """Posts messages over one pool of connections. `check_address` raises `AddressForbidden` for what is forbidden."""

    def __init__(self, check_address: CheckAddress, *, timeout_seconds: float) -> None:
        self._check_address = check_address
        self._timeout = timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: Message) -> Answer:
        """Post a message and read the beginning of the answer. Raises `AddressForbidden`, `TargetUnreachable`."""
        try:
            async with self._opened().post(
                message.url, data=message.body, headers=message.headers, allow_redirects=False
            ) as response:
                text = await beginning_of(response, SHOWN_BYTES)
        except AddressForbidden:
            raise
        except TimeoutError as error:
            raise TargetUnreachable(
                f"The receiver did not answer within {self._timeout:g} s. Have it answer first and work afterwards."
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = storable_text(str(error)) or type(error).__name__
            raise TargetUnreachable(
                f"The receiver cannot be reached: {reason[:500]}. Check the webhook's URL and that its server runs."
            ) from error
        return Answer(response.status, _location(response), text)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = checked_session(self._check_address, timeout_seconds=self._timeout, user_agent=USER_AGENT)
        return self._session


def _location(response: aiohttp.ClientResponse) -> str | None:
    """Where a redirect leads; a header may hold bytes that are no text."""
    location = response.headers.get("Location") if 300 <= response.status < 400 else None
    return storable_text(location) if location is not None else None
