"""Notifications (document, Notification Endpoints)."""

from datetime import datetime
from typing import TypedDict

from smartaihub.types.base import Record


class Notification(Record):
    """Something the user was told. `type` says how much it matters, `category` what it is about."""

    id: str
    type: str
    category: str = ""
    title: str
    message: str
    read: bool
    created_at: datetime


class AllRead(Record):
    """How many notifications were unread before."""

    marked_as_read: int


class Channels(Record):
    """By which channels a category is told."""

    email: bool
    push: bool
    in_app: bool


class NotificationSettings(Record):
    """By which channels the user is told things. A channel that is off at the top is off in every category."""

    email_notifications: bool
    push_notifications: bool
    in_app_notifications: bool
    categories: dict[str, Channels]


class ChannelChoice(TypedDict, total=False):
    """Channels of a category to set; one that is left out stays as it is."""

    email: bool
    push: bool
    in_app: bool


class PushKey(Record):
    """What a browser subscribes with: `applicationServerKey` of `PushManager.subscribe()`."""

    public_key: str


class PushSubscription(Record):
    """A browser that shows the user's notices."""

    id: str
    endpoint: str
    created_at: datetime
