"""Webhooks and the log of their deliveries (document, Webhooks)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from smartaihub.types.base import Record


class Webhook(Record):
    """An address that hears of events. `failing_since` is when it last began to refuse every delivery."""

    id: str
    url: str
    events: list[str]
    active: bool
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    created_at: datetime
    updated_at: datetime


class WebhookWithSecret(Webhook):
    """A webhook and its secret, which the server does not show again."""

    secret: str = Field(repr=False)


class Delivery(Record):
    """One event on its way to one webhook: `pending`, `delivered` or `dead`."""

    id: str
    webhook_id: str
    event_id: str
    event_type: str
    status: str
    attempts: int
    occurred_at: datetime
    created_at: datetime
    next_attempt_at: datetime | None = None
    ended_at: datetime | None = None


class Attempt(Record):
    """One try: the receiver's status and the beginning of its answer, or why there was none."""

    at: datetime
    status_code: int | None = None
    error: str | None = None
    response: str | None = None
    duration_ms: int


class DeliveryDetails(Delivery):
    """A delivery and every try, oldest first."""

    log: list[Attempt]


class WebhookEvent(Record):
    """An event that was verified. `event_id` stays the same however often the event comes: keep those you have seen.

    `event_type` is one of the document's (Webhook Events) or `webhook.test`; `data` is as the document shows it.
    """

    event_id: str
    event_type: str
    timestamp: datetime
    data: Mapping[str, Any]
