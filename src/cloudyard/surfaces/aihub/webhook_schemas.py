"""The shapes of webhooks (document, Webhooks)."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from cloudyard.domains.webhooks import (
    EVENTS,
    Attempt,
    Delivery,
    DeliveryState,
    Webhook,
    WebhookChanges,
)
from cloudyard.surfaces.aihub.mapping import timestamp
from cloudyard.surfaces.aihub.schemas import Part, RequestBody

Url = Annotated[str, Field(json_schema_extra={"format": "uri"}, examples=["https://your-app.com/webhooks/smartaihub"])]
Secret = Annotated[str, Field(examples=["your-webhook-secret"])]
Events = Annotated[list[str], Field(examples=[["user.created", "credit.purchased", "payment.completed"]])]


class NewWebhook(RequestBody):
    """An address and what it wants to hear of. Without a secret a random one is made."""

    url: Url
    events: Events = Field(description=f"Out of: {', '.join(EVENTS)}.")
    secret: Secret | None = None
    active: bool = True


class WebhookUpdate(RequestBody):
    """What to change; what is left out or null stays."""

    url: Url | None = None
    events: Events | None = None
    secret: Secret | None = None
    active: bool | None = None

    def changes(self) -> WebhookChanges:
        """What the domain is told."""
        changes = WebhookChanges()
        if self.url is not None:
            changes["url"] = self.url
        if self.events is not None:
            changes["events"] = self.events
        if self.secret is not None:
            changes["secret"] = self.secret
        if self.active is not None:
            changes["active"] = self.active
        return changes


class WebhookView(Part):
    """A webhook. `failingSince` is when it last began to refuse every delivery."""

    id: str
    url: str
    events: list[str]
    active: bool
    failing_since: str | None
    disabled_at: str | None
    disabled_reason: str | None
    created_at: str
    updated_at: str


class WebhookWithSecret(WebhookView):
    """A webhook and its secret, which is not shown again."""

    secret: str


class DeliveryView(Part):
    """One event on its way to one webhook. `eventId` is also the header `webhook-id`."""

    id: str
    webhook_id: str
    event_id: str
    event_type: str
    status: DeliveryState
    attempts: int
    occurred_at: str
    created_at: str
    next_attempt_at: str | None
    ended_at: str | None


class AttemptView(Part):
    """One try: the receiver's status and the beginning of its answer, or why there was none."""

    at: str
    status_code: int | None
    error: str | None
    response: str | None
    duration_ms: int


class DeliveryDetails(DeliveryView):
    """A delivery and every try, oldest first."""

    log: list[AttemptView]


def webhook_view(webhook: Webhook) -> WebhookView:
    """A webhook as it is shown."""
    return WebhookView(
        id=webhook.id,
        url=webhook.url,
        events=list(webhook.events),
        active=webhook.active,
        failing_since=timestamp(webhook.failing_since) if webhook.failing_since else None,
        disabled_at=timestamp(webhook.disabled_at) if webhook.disabled_at else None,
        disabled_reason=webhook.disabled_reason,
        created_at=timestamp(webhook.created_at),
        updated_at=timestamp(webhook.updated_at),
    )


def with_secret(webhook: Webhook, secret: str) -> WebhookWithSecret:
    """A webhook and its secret, the one time that it is shown."""
    return WebhookWithSecret(**dict(webhook_view(webhook)), secret=secret)


def delivery_view(delivery: Delivery) -> DeliveryView:
    """A delivery as the log lists it."""
    return DeliveryView(
        id=delivery.id,
        webhook_id=delivery.webhook_id,
        event_id=delivery.event_id,
        event_type=delivery.event_type,
        status=delivery.state,
        attempts=delivery.attempts,
        occurred_at=timestamp(delivery.occurred_at),
        created_at=timestamp(delivery.created_at),
        next_attempt_at=timestamp(delivery.next_attempt_at) if delivery.next_attempt_at else None,
        ended_at=timestamp(delivery.ended_at) if delivery.ended_at else None,
    )


def delivery_details(delivery: Delivery, attempts: Sequence[Attempt]) -> DeliveryDetails:
    """A delivery with its tries."""
    return DeliveryDetails(**dict(delivery_view(delivery)), log=[_attempt_view(attempt) for attempt in attempts])


def _attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(
        at=timestamp(attempt.at),
        status_code=attempt.status,
        error=attempt.error,
        response=attempt.answer,
        duration_ms=attempt.duration_ms,
    )
