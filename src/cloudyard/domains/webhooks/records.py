"""What the services of webhooks hand out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DeliveryState(StrEnum):
    """Where a delivery stands: still tried, taken by the receiver, or given up."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Webhook:
    """An endpoint and what it wants to hear of.

    `failing_since` is when it last began to refuse everything, None while it takes deliveries; `disabled_at` and
    `disabled_reason` tell when and why the platform stopped sending.
    """

    id: str
    url: str
    events: Sequence[str]
    active: bool
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint. `attempts` counts the tries that came to an end.

    `next_attempt_at` is None while it waits for an earlier one of its subject, and once it has ended.
    """

    id: str
    webhook_id: str
    event_id: str
    event_type: str
    state: DeliveryState
    attempts: int
    occurred_at: datetime
    created_at: datetime
    next_attempt_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try. `status` is the receiver's, None where there was no answer; `answer` is the beginning of its body."""

    at: datetime
    status: int | None
    error: str | None
    answer: str | None
    duration_ms: int


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries to list; None is any."""

    state: DeliveryState | None = None
    event_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
