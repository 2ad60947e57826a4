"""Webhooks and the log of their deliveries (document, Webhooks)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from cloudyard.domains.webhooks import DeliveryFilter, DeliveryState
from cloudyard.surfaces.aihub.mapping import pagination
from cloudyard.surfaces.aihub.routes.meta import CurrentMeta
from cloudyard.surfaces.aihub.schemas import Envelope, ErrorEnvelope, PageEnvelope, Said
from cloudyard.surfaces.aihub.services import Services
from cloudyard.surfaces.aihub.webhook_schemas import (
    DeliveryDetails,
    DeliveryView,
    NewWebhook,
    WebhookUpdate,
    WebhookView,
    WebhookWithSecret,
    delivery_details,
    delivery_view,
    webhook_view,
    with_secret,
)
from cloudyard.web.authentication import CurrentAdmin
from cloudyard.web.documented_errors import failures
from cloudyard.web.idempotency import IdempotentRoute
from cloudyard.web.json_body import StrictJsonRoute
from cloudyard.web.moments import Moment
from cloudyard.web.paging import Page, page

PREFIX = "/api/admin/webhooks"

router = APIRouter(tags=["Webhooks"])
repeatable = APIRouter(prefix=PREFIX, route_class=IdempotentRoute)
telling_secrets = APIRouter(prefix=PREFIX, route_class=StrictJsonRoute)  # answers with secrets are not kept

CurrentPage = Annotated[Page, Depends(page(default=20, most=100))]


def delivery_filter(
    status: Annotated[DeliveryState | None, Query(description="Where the delivery stands.")] = None,
    event: Annotated[str | None, Query(description="An event, e.g. `user.created`.", max_length=64)] = None,
    since: Annotated[Moment | None, Query(description="Written at this moment or later.")] = None,
    until: Annotated[Moment | None, Query(description="Written before this moment.")] = None,
) -> DeliveryFilter:
    """FastAPI dependency: which deliveries to list."""
    return DeliveryFilter(status, event, since, until)


@telling_secrets.post(
    "",
    status_code=201,
    summary="Create a webhook",
    responses=failures(ErrorEnvelope, 400, 401, 403, 409, 422, 429),
)
async def create_webhook(
    body: NewWebhook, caller: CurrentAdmin, services: Services, meta: CurrentMeta
) -> Envelope[WebhookWithSecret]:
    """Have events posted to an address. The secret is shown this once."""
    webhook, secret = await services.webhooks.create(
        caller.user_id, url=body.url, events=body.events, secret=body.secret, active=body.active
    )
    return Envelope[WebhookWithSecret](data=with_secret(webhook, secret), meta=meta)


@repeatable.get("", summary="List webhooks", responses=failures(ErrorEnvelope, 401, 403, 422, 429))
async def list_webhooks(
    caller: CurrentAdmin, at: CurrentPage, services: Services, meta: CurrentMeta
) -> PageEnvelope[WebhookView]:
    """The webhooks, newest first."""
    found, total = await services.webhooks.list(limit=at.limit, offset=at.offset)
    return PageEnvelope[WebhookView](
        data=[webhook_view(webhook) for webhook in found], pagination=pagination(at, total), meta=meta
    )


@repeatable.get("/{webhook_id}", summary="Get a webhook", responses=failures(ErrorEnvelope, 401, 403, 404, 429))
async def get_webhook(
    webhook_id: str, caller: CurrentAdmin, services: Services, meta: CurrentMeta
) -> Envelope[WebhookView]:
    """One webhook, without its secret."""
    return Envelope[WebhookView](data=webhook_view(await services.webhooks.get(webhook_id)), meta=meta)


@repeatable.put(
    "/{webhook_id}",
    summary="Change a webhook",
    responses=failures(ErrorEnvelope, 400, 401, 403, 404, 409, 422, 429),
)
async def update_webhook(
    webhook_id: str, body: WebhookUpdate, caller: CurrentAdmin, services: Services, meta: CurrentMeta
) -> Envelope[WebhookView]:
    """Change what is given. Set active again, it gets what waited for it."""
    webhook = await services.webhooks.update(caller.user_id, webhook_id, **body.changes())
    return Envelope[WebhookView](data=webhook_view(webhook), meta=meta)


@repeatable.delete(
    "/{webhook_id}", summary="Delete a webhook", responses=failures(ErrorEnvelope, 401, 403, 404, 409, 422, 429)
)
async def delete_webhook(
    webhook_id: str, caller: CurrentAdmin, services: Services, meta: CurrentMeta
) -> Envelope[Said]:
    """Delete a webhook and the log of its deliveries."""
    await services.webhooks.delete(caller.user_id, webhook_id)
    return Envelope[Said](data=Said(message="Webhook deleted."), meta=meta)


@telling_secrets.post(
    "/{webhook_id}/rotate-secret",
    summary="Give a webhook a new secret",
    responses=failures(ErrorEnvelope, 401, 403, 404, 429),
)
async def rotate_secret(
    webhook_id: str, caller: CurrentAdmin, services: Services, meta: CurrentMeta
) -> Envelope[WebhookWithSecret]:
    """A new random secret, shown this once. For a day `webhook-signature` is made with the old one too."""
    webhook, secret = await services.webhooks.rotate_secret(caller.user_id, webhook_id)
    return Envelope[WebhookWithSecret](data=with_secret(webhook, secret), meta=meta)


@repeatable.post(
    "/{webhook_id}/test",
    status_code=202,
    summary="Send a test event",
    responses=failures(ErrorEnvelope, 401, 403, 404, 409, 422, 429),
)
async def test_webhook(
    webhook_id: str, caller: CurrentAdmin, services: Services, meta: CurrentMeta
) -> Envelope[DeliveryView]:
    """Send a `webhook.test` event to this webhook; its delivery tells what came of it."""
    return Envelope[DeliveryView](
        data=delivery_view(await services.webhooks.test(caller.user_id, webhook_id)), meta=meta
    )


@repeatable.get(
    "/{webhook_id}/deliveries", summary="List deliveries", responses=failures(ErrorEnvelope, 401, 403, 404, 422, 429)
)
async def list_deliveries(
    webhook_id: str,
    wanted: Annotated[DeliveryFilter, Depends(delivery_filter)],
    caller: CurrentAdmin,
    at: CurrentPage,
    services: Services,
    meta: CurrentMeta,
) -> PageEnvelope[DeliveryView]:
    """What was sent and what waits, newest first."""
    found, total = await services.webhooks.deliveries(webhook_id, wanted, limit=at.limit, offset=at.offset)
    return PageEnvelope[DeliveryView](
        data=[delivery_view(delivery) for delivery in found], pagination=pagination(at, total), meta=meta
    )


@repeatable.get(
    "/{webhook_id}/deliveries/{delivery_id}",
    summary="Get a delivery",
    responses=failures(ErrorEnvelope, 401, 403, 404, 429),
)
async def get_delivery(
    webhook_id: str, delivery_id: str, caller: CurrentAdmin, services: Services, meta: CurrentMeta
) -> Envelope[DeliveryDetails]:
    """A delivery with every try."""
    delivery, attempts = await services.webhooks.delivery(webhook_id, delivery_id)
    return Envelope[DeliveryDetails](data=delivery_details(delivery, attempts), meta=meta)


@repeatable.post(
    "/{webhook_id}/deliveries/{delivery_id}/replay",
    status_code=202,
    summary="Send a delivery again",
    responses=failures(ErrorEnvelope, 401, 403, 404, 409, 422, 429),
)
async def replay_delivery(
    webhook_id: str, delivery_id: str, caller: CurrentAdmin, services: Services, meta: CurrentMeta
) -> Envelope[DeliveryView]:
    """Send an ended delivery again, under the same event id."""
    delivery = await services.webhooks.replay(caller.user_id, webhook_id, delivery_id)
    return Envelope[DeliveryView](data=delivery_view(delivery), meta=meta)


router.include_router(repeatable)
router.include_router(telling_secrets)
