"""Webhooks, for administrators (document, Webhooks)."""

from collections.abc import Iterable
from datetime import datetime

from smartaihub._async.connection import AsyncConnection
from smartaihub._async.pages import AsyncPages
from smartaihub._requests import get, keyed, post, put, segment
from smartaihub.types.base import Envelope, Message, Page
from smartaihub.types.webhooks import Delivery, DeliveryDetails, Webhook, WebhookWithSecret

PATH = "/api/admin/webhooks"


class AsyncWebhooks:
    """`client.webhooks`. What arrives is checked with `verify_webhook`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def create(
        self, url: str, events: Iterable[str], *, secret: str | None = None, active: bool = True
    ) -> WebhookWithSecret:
        """Have events posted to an address. Without a secret a random one is made; it is told this once."""
        request = post(PATH, Envelope[WebhookWithSecret], url=url, events=[*events], secret=secret, active=active)
        return await self._connection.data(request)

    def list(self, *, limit: int = 20) -> AsyncPages[Webhook]:
        """The webhooks, newest first."""
        return AsyncPages(self._connection, get(PATH, Page[Webhook], limit=limit))

    async def get(self, webhook_id: str) -> Webhook:
        """One webhook, without its secret."""
        return await self._connection.data(get(_path(webhook_id), Envelope[Webhook]))

    async def update(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Iterable[str] | None = None,
        secret: str | None = None,
        active: bool | None = None,
    ) -> Webhook:
        """Change what is given. Set active again, it gets what waited for it."""
        request = put(
            _path(webhook_id),
            Envelope[Webhook],
            url=url,
            events=[*events] if events is not None else None,
            secret=secret,
            active=active,
        )
        return await self._connection.data(request)

    async def delete(self, webhook_id: str) -> None:
        """Delete a webhook and the log of its deliveries."""
        await self._connection.send(keyed("DELETE", _path(webhook_id), Envelope[Message]))

    async def rotate_secret(self, webhook_id: str) -> WebhookWithSecret:
        """A new random secret, told this once. For a day deliveries are signed with the old one too."""
        return await self._connection.data(post(f"{_path(webhook_id)}/rotate-secret", Envelope[WebhookWithSecret]))

    async def test(self, webhook_id: str) -> Delivery:
        """Send a `webhook.test` event; `delivery` tells what came of it."""
        return await self._connection.data(keyed("POST", f"{_path(webhook_id)}/test", Envelope[Delivery]))

    def deliveries(
        self,
        webhook_id: str,
        *,
        status: str | None = None,
        event: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 20,
    ) -> AsyncPages[Delivery]:
        """What was sent and what waits, newest first. `status` is `pending`, `delivered` or `dead`."""
        path = f"{_path(webhook_id)}/deliveries"
        request = get(path, Page[Delivery], status=status, event=event, since=since, until=until, limit=limit)
        return AsyncPages(self._connection, request)

    async def delivery(self, webhook_id: str, delivery_id: str) -> DeliveryDetails:
        """A delivery with every try."""
        path = f"{_path(webhook_id)}/deliveries/{segment(delivery_id)}"
        return await self._connection.data(get(path, Envelope[DeliveryDetails]))

    async def replay(self, webhook_id: str, delivery_id: str, *, idempotency_key: str | None = None) -> Delivery:
        """Send an ended delivery again, under the same event id."""
        path = f"{_path(webhook_id)}/deliveries/{segment(delivery_id)}/replay"
        return await self._connection.data(keyed("POST", path, Envelope[Delivery], key=idempotency_key))


def _path(webhook_id: str) -> str:
    return f"{PATH}/{segment(webhook_id)}"
