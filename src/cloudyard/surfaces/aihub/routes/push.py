"""Notices that browsers show (Web Push: RFC 8030, RFC 8291, RFC 8292).

The document names the channel and leaves it open how a browser registers.
"""

from fastapi import APIRouter

from cloudyard.surfaces.aihub.push_schemas import NewSubscription, PushKeyView, SubscriptionView, subscription_view
from cloudyard.surfaces.aihub.routes.meta import CurrentMeta
from cloudyard.surfaces.aihub.schemas import Envelope, ErrorEnvelope, Said
from cloudyard.surfaces.aihub.services import Services
from cloudyard.web.authentication import CurrentAccount
from cloudyard.web.documented_errors import failures
from cloudyard.web.json_body import StrictJsonRoute

router = APIRouter(prefix="/api/notifications/push", tags=["Notifications"], route_class=StrictJsonRoute)


@router.get("/key", summary="Get the push key", responses=failures(ErrorEnvelope, 401, 403, 429))
async def push_key(caller: CurrentAccount, services: Services, meta: CurrentMeta) -> Envelope[PushKeyView]:
    """The public key that a browser subscribes with. It stays the same."""
    key = await services.push_subscriptions.public_key()
    return Envelope[PushKeyView](data=PushKeyView(public_key=key), meta=meta)


@router.post(
    "/subscriptions",
    status_code=201,
    summary="Register a push subscription",
    responses=failures(ErrorEnvelope, 400, 401, 403, 409, 422, 429),
)
async def register_push_subscription(
    body: NewSubscription, caller: CurrentAccount, services: Services, meta: CurrentMeta
) -> Envelope[SubscriptionView]:
    """Have the user's notices pushed to a browser. The same endpoint again keeps its id."""
    subscription = await services.push_subscriptions.register(
        caller.user_id, endpoint=body.endpoint, p256dh=body.keys.p256dh, auth=body.keys.auth
    )
    return Envelope[SubscriptionView](data=subscription_view(subscription), meta=meta)


@router.get("/subscriptions", summary="List push subscriptions", responses=failures(ErrorEnvelope, 401, 403, 429))
async def list_push_subscriptions(
    caller: CurrentAccount, services: Services, meta: CurrentMeta
) -> Envelope[list[SubscriptionView]]:
    """The user's browsers, newest first: twenty at most."""
    found = await services.push_subscriptions.list(caller.user_id)
    return Envelope[list[SubscriptionView]](data=[subscription_view(each) for each in found], meta=meta)


@router.delete(
    "/subscriptions/{subscription_id}",
    summary="Remove a push subscription",
    responses=failures(ErrorEnvelope, 401, 403, 404, 429),
)
async def remove_push_subscription(
    subscription_id: str, caller: CurrentAccount, services: Services, meta: CurrentMeta
) -> Envelope[Said]:
    """Push nothing more to this browser."""
    await services.push_subscriptions.remove(caller.user_id, subscription_id)
    return Envelope[Said](data=Said(message="The subscription was removed."), meta=meta)
