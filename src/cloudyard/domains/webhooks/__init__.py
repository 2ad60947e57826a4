"""Webhooks: events of the platform, posted to the addresses that administrators name."""

from cloudyard.domains.webhooks.delivering import Deliveries
from cloudyard.domains.webhooks.disabling import WEBHOOK_DISABLED, Disabling
from cloudyard.domains.webhooks.errors import (
    DeliveryNotFound,
    DeliveryUnderWay,
    InvalidWebhook,
    TooManyWebhooks,
    WebhookInactive,
    WebhookNotFound,
)
from cloudyard.domains.webhooks.events import EVENTS, TEST_EVENT, data_of
from cloudyard.domains.webhooks.jobs import DeliveryLogPruner, DeliveryRows, UsageWebhooks, WebhookConsumer
from cloudyard.domains.webhooks.lost_secrets import LostSecrets
from cloudyard.domains.webhooks.ports import Answer, Message, Sender, TargetUnreachable
from cloudyard.domains.webhooks.records import Attempt, Delivery, DeliveryFilter, DeliveryState, Webhook
from cloudyard.domains.webhooks.service import WebhookChanges, Webhooks
from cloudyard.domains.webhooks.wakening import Wakening

__all__ = [
    "EVENTS",
    "TEST_EVENT",
    "WEBHOOK_DISABLED",
    "Answer",
    "Attempt",
    "Deliveries",
    "Delivery",
    "DeliveryFilter",
    "DeliveryLogPruner",
    "DeliveryNotFound",
    "DeliveryRows",
    "DeliveryState",
    "DeliveryUnderWay",
    "Disabling",
    "InvalidWebhook",
    "LostSecrets",
    "Message",
    "Sender",
    "TargetUnreachable",
    "TooManyWebhooks",
    "UsageWebhooks",
    "Wakening",
    "Webhook",
    "WebhookChanges",
    "WebhookConsumer",
    "WebhookInactive",
    "WebhookNotFound",
    "Webhooks",
    "data_of",
]
