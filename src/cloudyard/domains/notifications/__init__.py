"""What users are told, by which channel, and what they have read."""

from cloudyard.domains.notifications.errors import NotificationNotFound
from cloudyard.domains.notifications.jobs import NoticeConsumer, Postman
from cloudyard.domains.notifications.notices import SPEND_CAP_NEAR, WALLET_LOW
from cloudyard.domains.notifications.records import (
    Category,
    Channel,
    Choices,
    Notice,
    Notification,
    Preferences,
    Severity,
)
from cloudyard.domains.notifications.service import NOTIFICATION_CREATED, Notifications

__all__ = [
    "NOTIFICATION_CREATED",
    "SPEND_CAP_NEAR",
    "WALLET_LOW",
    "Category",
    "Channel",
    "Choices",
    "Notice",
    "NoticeConsumer",
    "Notification",
    "NotificationNotFound",
    "Notifications",
    "Postman",
    "Preferences",
    "Severity",
]
