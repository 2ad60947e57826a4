"""The events that webhooks can tell of, and what they tell."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.alias_generators import to_camel

from cloudyard.domains.webhooks.errors import InvalidWebhook
from cloudyard.foundation.money import CreditRate, plain_number

CREDIT_USED = "credit.used"
EVENTS = (
    "user.created",
    "user.updated",
    "credit.purchased",
    CREDIT_USED,
    "payment.completed",
    "payment.failed",
)
TEST_EVENT = "webhook.test"
NANOS = "_nanos"


def checked_events(wanted: Iterable[str]) -> list[str]:
    """The events, each once, in the order of the list of all. Raises `InvalidWebhook`."""
    named = set(wanted)
    unknown = sorted(named.difference(EVENTS))
    if unknown or not named:
        what = f"There is no event {unknown[0]!r}" if unknown else "A webhook needs at least one event"
        raise InvalidWebhook(f"{what}. The events are: {', '.join(EVENTS)}.", field="events")
    return [event for event in EVENTS if event in named]


def data_of(payload: Mapping[str, Any], rate: CreditRate) -> dict[str, Any]:
    """An event's payload as the published contract writes it: `user_id` is `userId`, amounts are in credits."""
    return dict(_shown(name, value, rate) for name, value in payload.items())


def _shown(name: str, value: Any, rate: CreditRate) -> tuple[str, Any]:
    if name.endswith(NANOS) and isinstance(value, int):
        return to_camel(name.removesuffix(NANOS) + "_credits"), plain_number(rate.credits(value))
    return to_camel(name), data_of(value, rate) if isinstance(value, Mapping) else value
