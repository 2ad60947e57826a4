"""Webhooks: events of the platform, posted to the addresses that administrators name."""

from cloudyard.domains.webhooks.addresses import AddressRules
from cloudyard.domains.webhooks.delivering import Deliveries
from cloudyard.domains.webhooks.errors import (
    DeliveryNotFound,
    DeliveryUnderWay,
    InvalidWebhook,
    TooManyWebhooks,
    WebhookInactive,
    WebhookNotFound,
)
from cloudyard.domains.webhooks.events import EVENTS, TEST_EVENT
from cloudyard.domains.webhooks.jobs import DeliveryLogPruner, WebhookConsumer
from cloudyard.domains.webhooks.ports import Answer, Message, Sender, TargetForbidden, TargetUnreachable
from cloudyard.domains.webhooks.records import Attempt, Delivery, DeliveryFilter, DeliveryState, Webhook
from cloudyard.domains.webhooks.service import WebhookChanges, Webhooks
from cloudyard.domains.webhooks.wakening import Wakening

__all__ = [
    "EVENTS",
    "TEST_EVENT",
    "AddressRules",
    "Answer",
    "Attempt",
    "Deliveries",
    "Delivery",
    "DeliveryFilter",
    "DeliveryLogPruner",
    "DeliveryNotFound",
    "DeliveryState",
    "DeliveryUnderWay",
    "InvalidWebhook",
    "Message",
    "Sender",
    "TargetForbidden",
    "TargetUnreachable",
    "TooManyWebhooks",
    "Wakening",
    "Webhook",
    "WebhookChanges",
    "WebhookConsumer",
    "WebhookInactive",
    "WebhookNotFound",
    "Webhooks",
]
