"""What users are told, by which channel, and what they have read."""

from cloudyard.domains.notifications.errors import (
    InvalidSubscription,
    NotificationNotFound,
    SubscriptionNotFound,
    TooManySubscriptions,
)
from cloudyard.domains.notifications.jobs import BrowserConsumer, NoticeConsumer, Postman
from cloudyard.domains.notifications.notices import SPEND_CAP_NEAR, WALLET_LOW
from cloudyard.domains.notifications.ports import Push, PushGone, PushRefused, PushSender, PushUnavailable, VapidKeys
from cloudyard.domains.notifications.push_subscriptions import PushSubscriptions
from cloudyard.domains.notifications.pusher import Pusher
from cloudyard.domains.notifications.records import (
    Category,
    Channel,
    Choices,
    Notice,
    Notification,
    Preferences,
    PushSubscription,
    Severity,
)
from cloudyard.domains.notifications.service import NOTIFICATION_CREATED, Notifications
from cloudyard.domains.notifications.vapid_keys import VapidKeyStore

__all__ = [
    "NOTIFICATION_CREATED",
    "SPEND_CAP_NEAR",
    "WALLET_LOW",
    "BrowserConsumer",
    "Category",
    "Channel",
    "Choices",
    "InvalidSubscription",
    "Notice",
    "NoticeConsumer",
    "Notification",
    "NotificationNotFound",
    "Notifications",
    "Postman",
    "Preferences",
    "Push",
    "PushGone",
    "PushRefused",
    "PushSender",
    "PushSubscription",
    "PushSubscriptions",
    "PushUnavailable",
    "Pusher",
    "Severity",
    "SubscriptionNotFound",
    "TooManySubscriptions",
    "VapidKeyStore",
    "VapidKeys",
]
