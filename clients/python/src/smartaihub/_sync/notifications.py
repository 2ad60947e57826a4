"""What the user is told (document, Notification Endpoints)."""

from collections.abc import Mapping
from dataclasses import replace

from smartaihub._requests import Repeat, Request, get, given, post, put, segment
from smartaihub._sync.connection import Connection
from smartaihub._sync.pages import Pages
from smartaihub.types.base import Envelope, Message, Page
from smartaihub.types.notifications import (
    AllRead,
    ChannelChoice,
    Notification,
    NotificationSettings,
    PushKey,
    PushSubscription,
)

PUSH = "/api/notifications/push"
Subscriptions = list[PushSubscription]


class Notifications:
    """`client.notifications`."""

    def __init__(self, connection: Connection) -> None:
        self.push = Push(connection)
        self._connection = connection

    def list(self, *, unread: bool = False, limit: int = 20) -> Pages[Notification]:
        """The notifications, newest first; with `unread` only those that were not read."""
        return Pages(self._connection, get("/api/notifications", Page[Notification], unread=unread, limit=limit))

    def read(self, notification_id: str) -> Notification:
        """Mark a notification as read."""
        path = f"/api/notifications/{segment(notification_id)}/read"
        return self._connection.data(put(path, Envelope[Notification]))

    def read_all(self) -> int:
        """Mark every notification as read; how many were not."""
        answer = self._connection.data(put("/api/notifications/read-all", Envelope[AllRead]))
        return answer.marked_as_read

    def settings(self) -> NotificationSettings:
        """By which channels the user is told things."""
        return self._connection.data(get("/api/notifications/settings", Envelope[NotificationSettings]))

    def update_settings(
        self,
        *,
        email_notifications: bool | None = None,
        push_notifications: bool | None = None,
        in_app_notifications: bool | None = None,
        categories: Mapping[str, ChannelChoice] | None = None,
    ) -> NotificationSettings:
        """Set what is given: whole channels, or channels of categories, `{"billing": {"email": False}}`."""
        chosen = {name: given(**choice) for name, choice in (categories or {}).items()}
        request = put(
            "/api/notifications/settings",
            Envelope[NotificationSettings],
            email_notifications=email_notifications,
            push_notifications=push_notifications,
            in_app_notifications=in_app_notifications,
            categories=chosen or None,
        )
        return self._connection.data(request)


class Push:
    """`client.notifications.push`: browsers that show the user's notices (RFC 8030)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def key(self) -> str:
        """The public key that a browser subscribes with: `applicationServerKey` of `PushManager.subscribe()`."""
        return (self._connection.data(get(f"{PUSH}/key", Envelope[PushKey]))).public_key

    def subscribe(self, endpoint: str, *, p256dh: str, auth: str) -> PushSubscription:
        """Register what `PushManager.subscribe()` gave. The same endpoint again keeps its id."""
        keys = {"p256dh": p256dh, "auth": auth}
        request = post(f"{PUSH}/subscriptions", Envelope[PushSubscription], endpoint=endpoint, keys=keys)
        return self._connection.data(replace(request, repeat=Repeat.SAFE))

    def list(self) -> Subscriptions:
        """The user's browsers, newest first."""
        return self._connection.data(get(f"{PUSH}/subscriptions", Envelope[Subscriptions]))

    def remove(self, subscription_id: str) -> None:
        """Push nothing more to this browser."""
        path = f"{PUSH}/subscriptions/{segment(subscription_id)}"
        self._connection.send(Request("DELETE", path, Envelope[Message], repeat=Repeat.UNSENT))
