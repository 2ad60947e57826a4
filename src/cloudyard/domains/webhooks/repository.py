"""The statements on the tables of webhooks."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Update, bindparam, exists, false, func, literal_column, or_, select, update

from cloudyard.domains.webhooks.errors import DeliveryNotFound, WebhookNotFound
from cloudyard.domains.webhooks.models import webhook_deliveries, webhook_endpoints
from cloudyard.domains.webhooks.records import Delivery, DeliveryFilter, DeliveryState, Webhook
from cloudyard.foundation.database import Transaction
from cloudyard.foundation.durable.leases import Moment

NEVER = datetime.fromisoformat("9999-12-31T00:00:00+00:00")
"""When a delivery comes due that has ended, or that waits for an earlier one of its lane."""

PENDING: ColumnElement[str] = literal_column("'pending'")
"""As a literal, so that the database sees that its partial indexes fit."""

LONGEST_NUMBER = 18
"""Digits that a 64-bit id has at most and that always fit."""


async def get_endpoint(tx: Transaction, webhook_id: str, *, lock: bool = False) -> Row[Any]:
    """An endpoint's row, locked against changes if so wished. Raises `WebhookNotFound`."""
    query = select(webhook_endpoints).where(webhook_endpoints.c.id == webhook_id)
    row = await tx.first(query.with_for_update() if lock else query) if webhook_id.isprintable() else None
    if row is None:
        raise WebhookNotFound("There is no webhook with this id. List the webhooks to see their ids.")
    return row


async def get_delivery(tx: Transaction, webhook_id: str, delivery_id: str, *, lock: bool = False) -> Row[Any]:
    """The row of one of an endpoint's deliveries. Raises `WebhookNotFound`, `DeliveryNotFound`."""
    await get_endpoint(tx, webhook_id)
    table = webhook_deliveries
    number = int(delivery_id) if _is_number(delivery_id) else 0
    query = select(table).where(table.c.id == number, table.c.endpoint_id == webhook_id)
    row = await tx.first(query.with_for_update() if lock else query)
    if row is None:
        raise DeliveryNotFound(
            "The webhook has no delivery with this id: it never had one, or it is past its time. "
            "List its deliveries to see their ids."
        )
    return row


async def page_of_deliveries(
    tx: Transaction, webhook_id: str, wanted: DeliveryFilter, *, limit: int, offset: int
) -> tuple[list[Row[Any]], int]:
    """Rows of deliveries, newest first, and how many match."""
    which = _matching(webhook_id, wanted)
    query = select(webhook_deliveries).where(*which).order_by(webhook_deliveries.c.id.desc())
    total = await tx.scalar(select(func.count()).select_from(webhook_deliveries).where(*which))
    return await tx.all(query.limit(limit).offset(offset)), int(total)


def sendable(now: Moment) -> Sequence[ColumnElement[bool]]:
    """Deliveries that may be sent now: due, free, and the first of their lane."""
    table, earlier = webhook_deliveries, webhook_deliveries.alias("earlier")
    before = exists().where(
        earlier.c.endpoint_id == table.c.endpoint_id,
        earlier.c.lane == table.c.lane,
        earlier.c.id < table.c.id,
        earlier.c.state == PENDING,
    )
    free = or_(table.c.lease_until.is_(None), table.c.lease_until < now)
    return (table.c.state == PENDING, table.c.due_at <= now, free, ~before)


def first_made_due(now: datetime) -> Update:
    """Makes the first pending delivery of a lane due if it waits; to be run with `lanes_to_look_at`.

    Whoever runs it has the endpoint locked: then no delivery is written behind one that is just ending.
    """
    table, waiting = webhook_deliveries, webhook_deliveries.alias("waiting")
    first = (
        select(waiting.c.id)
        .where(
            waiting.c.endpoint_id == bindparam("of_endpoint"),
            waiting.c.lane == bindparam("in_lane"),
            waiting.c.state == PENDING,
        )
        .order_by(waiting.c.id)
        .limit(1)
        .scalar_subquery()
    )
    return update(table).where(table.c.id == first, table.c.due_at == NEVER).values(due_at=now)


def lanes_to_look_at(lanes: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """The parameters of `first_made_due` for pairs of endpoint and lane."""
    return [{"of_endpoint": endpoint_id, "in_lane": lane} for endpoint_id, lane in lanes]


def webhook_of(row: Row[Any]) -> Webhook:
    """A webhook out of its row."""
    return Webhook(
        id=row.id,
        url=row.url,
        events=tuple(row.events),
        active=row.active,
        failing_since=row.failing_since,
        disabled_at=row.disabled_at,
        disabled_reason=row.disabled_reason,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def delivery_of(row: Row[Any]) -> Delivery:
    """A delivery out of its row."""
    state = DeliveryState(row.state)
    return Delivery(
        id=str(row.id),
        webhook_id=row.endpoint_id,
        event_id=row.event_id,
        event_type=row.event_type,
        state=state,
        attempts=row.tries,
        occurred_at=row.occurred_at,
        created_at=row.created_at,
        next_attempt_at=row.due_at if row.due_at != NEVER else None,
        ended_at=row.ended_at,
    )


def _matching(webhook_id: str, wanted: DeliveryFilter) -> list[ColumnElement[bool]]:
    table = webhook_deliveries
    which: list[ColumnElement[bool]] = [table.c.endpoint_id == webhook_id]
    if wanted.state is not None:
        which.append(table.c.state == wanted.state.value)
    if wanted.event_type is not None:
        which.append(table.c.event_type == wanted.event_type if wanted.event_type.isprintable() else false())
    if wanted.since is not None:
        which.append(table.c.created_at >= wanted.since)
    if wanted.until is not None:
        which.append(table.c.created_at < wanted.until)
    return which


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER
