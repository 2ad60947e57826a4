"""Hands messages to push services over HTTP (RFC 8030), at addresses that were checked, and nowhere else."""

from http import HTTPStatus

import aiohttp

from cloudyard import __version__
from cloudyard.backends.checked_http import CheckAddress, beginning_of, checked_session
from cloudyard.backends.push.encryption import CODING, encrypted
from cloudyard.backends.push.vapid import authorization
from cloudyard.backends.retry_after import asked_pause
from cloudyard.domains.notifications import Push, PushGone, PushRefused, PushUnavailable, VapidKeys
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.durable.failures import storable_text
from cloudyard.foundation.outbound_addresses import AddressForbidden

SHOWN_BYTES = 300
USER_AGENT = f"Cloudyard-Push/{__version__}"
GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
FOR_NOW = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class WebPush:
    """Pushes over one pool of connections.

    `contact` is told to push services, which write there when something is wrong; some refuse to work without.
    """

    def __init__(
        self, clock: Clock, check_address: CheckAddress, *, contact: str | None, timeout_seconds: float
    ) -> None:
        self._clock = clock
        self._check_address = check_address
        self._contact = contact
        self._timeout = timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def send(self, push: Push, keys: VapidKeys) -> None:
        """Hand a message over. Raises `PushGone`, `PushRefused`, `PushUnavailable`."""
        body = encrypted(push.payload, p256dh=push.p256dh, auth=push.auth)
        headers = self._headers(push, keys)
        try:
            async with self._opened().post(
                push.endpoint, data=body, headers=headers, allow_redirects=False
            ) as response:
                if 200 <= response.status < 300:
                    return
                said = await beginning_of(response, SHOWN_BYTES)
        except AddressForbidden as error:
            raise PushRefused(error.message) from error
        except TimeoutError as error:
            raise PushUnavailable(
                f"The push service did not answer within {self._timeout:g} s. It is tried again."
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = storable_text(str(error)) or type(error).__name__
            raise PushUnavailable(f"The push service cannot be reached: {reason[:500]}. It is tried again.") from error
        raise self._failure(response, said)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _headers(self, push: Push, keys: VapidKeys) -> dict[str, str]:
        return {
            "Authorization": authorization(push.endpoint, keys, self._clock.now(), self._contact),
            "Content-Encoding": CODING,
            "Content-Type": "application/octet-stream",
            "TTL": str(push.ttl_seconds),
            "Topic": push.topic,
            "Urgency": "high" if push.urgent else "normal",
        }

    def _failure(self, response: aiohttp.ClientResponse, said: str) -> PushGone | PushRefused | PushUnavailable:
        answered = f"The push service answered {response.status}: {said or storable_text(response.reason or '')}."
        if response.status in GONE:
            return PushGone(f"{answered} The browser has to subscribe again.")
        if response.status in FOR_NOW or response.status >= 500:
            pause = asked_pause(response.headers.get("Retry-After"), self._clock.now())
            return PushUnavailable(f"{answered} It is tried again.", retry_after=pause)
        return PushRefused(f"{answered} It is not tried again; the answer says what to mend.")

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = checked_session(self._check_address, timeout_seconds=self._timeout, user_agent=USER_AGENT)
        return self._session
