"""The shapes of notifications and their settings (document, Notification Endpoints)."""

from pydantic import ConfigDict

from cloudyard.domains.notifications import Category, Channel, Choices, Notification, Preferences, Severity
from cloudyard.surfaces.aihub.mapping import timestamp
from cloudyard.surfaces.aihub.schemas import Part, RequestBody


class NotificationView(Part):
    """A notification. `type` says how much it matters, `category` what it is about."""

    id: str
    type: Severity
    category: Category
    title: str
    message: str
    read: bool
    created_at: str


class AllRead(Part):
    """How many notifications were unread before."""

    marked_as_read: int


class CategoryChannels(Part):
    """The channels of a category."""

    email: bool
    push: bool
    in_app: bool


class SettingsView(Part):
    """By which channels the user is told things. A channel that is off at the top is off in every category."""

    email_notifications: bool
    push_notifications: bool
    in_app_notifications: bool
    categories: dict[Category, CategoryChannels]


class CategoryChanges(RequestBody):
    """Channels of a category to set; one that is left out stays as it is."""

    email: bool | None = None
    push: bool | None = None
    in_app: bool | None = None

    def by_channel(self) -> dict[Channel, bool]:
        """What is set."""
        return _given({Channel.EMAIL: self.email, Channel.PUSH: self.push, Channel.IN_APP: self.in_app})


class CategoriesChanges(RequestBody):
    """Categories to set; one that is left out stays as it is, and one that does not exist is refused."""

    model_config = ConfigDict(extra="forbid")

    account: CategoryChanges | None = None
    billing: CategoryChanges | None = None
    webhooks: CategoryChanges | None = None

    def by_category(self) -> dict[Category, dict[Channel, bool]]:
        """What is set."""
        given = {Category.ACCOUNT: self.account, Category.BILLING: self.billing, Category.WEBHOOKS: self.webhooks}
        return {category: changes.by_channel() for category, changes in given.items() if changes is not None}


class SettingsUpdate(RequestBody):
    """Settings to change; what is left out stays as it is."""

    email_notifications: bool | None = None
    push_notifications: bool | None = None
    in_app_notifications: bool | None = None
    categories: CategoriesChanges = CategoriesChanges()

    def by_channel(self) -> dict[Channel, bool]:
        """The channels that are switched as a whole."""
        return _given(
            {
                Channel.EMAIL: self.email_notifications,
                Channel.PUSH: self.push_notifications,
                Channel.IN_APP: self.in_app_notifications,
            }
        )


def notification_view(notification: Notification) -> NotificationView:
    """A notification as the document shows it."""
    return NotificationView(
        id=notification.id,
        type=notification.severity,
        category=notification.category,
        title=notification.title,
        message=notification.message,
        read=notification.read,
        created_at=timestamp(notification.created_at),
    )


def settings_view(preferences: Preferences) -> SettingsView:
    """All settings, those that nobody has set yet included."""
    return SettingsView(
        email_notifications=preferences.channels.email,
        push_notifications=preferences.channels.push,
        in_app_notifications=preferences.channels.in_app,
        categories={category: _channels(preferences.of(category)) for category in Category},
    )


def _channels(choices: Choices) -> CategoryChannels:
    return CategoryChannels(email=choices.email, push=choices.push, in_app=choices.in_app)


def _given(channels: dict[Channel, bool | None]) -> dict[Channel, bool]:
    return {channel: on for channel, on in channels.items() if on is not None}
