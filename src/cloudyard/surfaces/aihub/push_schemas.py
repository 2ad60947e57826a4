"""The shapes of web push: a subscription is taken as browsers give it (`PushSubscription.toJSON()`)."""

from typing import Annotated

from pydantic import BaseModel, Field

from cloudyard.domains.notifications import PushSubscription
from cloudyard.surfaces.aihub.mapping import timestamp
from cloudyard.surfaces.aihub.schemas import Part, RequestBody

Endpoint = Annotated[
    str,
    Field(json_schema_extra={"format": "uri"}, examples=["https://updates.push.services.mozilla.com/wpush/v2/gAAA"]),
]


class SubscriptionKeys(BaseModel):
    """The browser's public key and secret, in URL-safe base64 (RFC 8291)."""

    p256dh: str = Field(
        examples=["BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"]
    )
    auth: str = Field(examples=["BTBZMqHH6r4Tts7J_aSIgg"])


class NewSubscription(RequestBody):
    """What `PushManager.subscribe()` gave."""

    endpoint: Endpoint
    keys: SubscriptionKeys


class PushKeyView(Part):
    """What a browser subscribes with."""

    public_key: str = Field(description="`applicationServerKey` for `PushManager.subscribe()`, in URL-safe base64.")


class SubscriptionView(Part):
    """A browser that shows the user's notices."""

    id: str
    endpoint: str
    created_at: str


def subscription_view(subscription: PushSubscription) -> SubscriptionView:
    """A subscription as it is shown: its secret is not."""
    return SubscriptionView(
        id=subscription.id, endpoint=subscription.endpoint, created_at=timestamp(subscription.created_at)
    )
