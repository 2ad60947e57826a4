"""What notifications takes and gives: frozen values, never rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import msgspec

LONGEST_SOURCE = 200
LONGEST_TITLE = 200


class Category(StrEnum):
    """What a notice is about; users choose the channels of each."""

    ACCOUNT = "account"
    BILLING = "billing"
    WEBHOOKS = "webhooks"


class Channel(StrEnum):
    """How a notice reaches its user."""

    EMAIL = "email"
    PUSH = "push"
    IN_APP = "in_app"


class Severity(StrEnum):
    """How much a notice matters."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


class SendState(StrEnum):
    """The life of a mail or push. It is `sent` before it is handed over, so that it is never sent twice."""

    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"


IN_APP_ONLY = frozenset({Channel.IN_APP})
IN_APP_AND_PUSH = frozenset({Channel.IN_APP, Channel.PUSH})
EVERY_CHANNEL = frozenset(Channel)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a user is to be told, or every administrator where `user_id` is None.

    `source` names its cause: of two with the same one, the first counts.
    """

    user_id: str | None
    source: str
    category: Category
    severity: Severity
    title: str
    message: str
    channels: frozenset[Channel] = field(default=EVERY_CHANNEL)


@dataclass(frozen=True, slots=True)
class Notification:
    """A notice as its user finds it in the application."""

    id: str
    user_id: str
    category: Category
    severity: Severity
    title: str
    message: str
    read: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PushSubscription:
    """A browser that shows a user's notices. `endpoint` is its address at its push service."""

    id: str
    user_id: str
    endpoint: str
    created_at: datetime


class Choices(msgspec.Struct, frozen=True):
    """Which channels are on."""

    email: bool = True
    push: bool = True
    in_app: bool = True

    def allow(self, channel: Channel) -> bool:
        """Whether a channel is on."""
        return {Channel.EMAIL: self.email, Channel.PUSH: self.push, Channel.IN_APP: self.in_app}[channel]

    def changed(self, changes: Mapping[Channel, bool]) -> "Choices":
        """With these channels set, and the others as they are."""
        return msgspec.structs.replace(self, **{channel.value: on for channel, on in changes.items()})


ALL_ON = Choices()


class Preferences(msgspec.Struct, frozen=True):
    """What a user wants to hear of, and how. A channel that is off is off in every category."""

    channels: Choices = ALL_ON
    categories: Mapping[Category, Choices] = {}

    def of(self, category: Category) -> Choices:
        """The channels of a category, which are all on until the user says otherwise."""
        return self.categories.get(category, ALL_ON)

    def want(self, category: Category, channel: Channel) -> bool:
        """Whether notices of a category may take a channel."""
        return self.channels.allow(channel) and self.of(category).allow(channel)

    def changed(
        self, channels: Mapping[Channel, bool], categories: Mapping[Category, Mapping[Channel, bool]]
    ) -> "Preferences":
        """With these set, and everything else as it is."""
        named = {category: self.of(category).changed(changes) for category, changes in categories.items()}
        return Preferences(self.channels.changed(channels), {**self.categories, **named})
