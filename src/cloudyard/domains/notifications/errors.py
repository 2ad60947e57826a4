"""What can be wrong with notifications."""

from cloudyard.foundation.errors import DomainError, ErrorKind


class NotificationNotFound(DomainError):
    """The user has no such notification."""

    code = "notification_not_found"
    kind = ErrorKind.NOT_FOUND


class SubscriptionNotFound(DomainError):
    """The user has no such push subscription."""

    code = "push_subscription_not_found"
    kind = ErrorKind.NOT_FOUND


class InvalidSubscription(DomainError):
    """A push subscription has keys that nothing can be encrypted with."""

    code = "invalid_push_subscription"
    kind = ErrorKind.INVALID


class TooManySubscriptions(DomainError):
    """The user has as many push subscriptions as there may be."""

    code = "too_many_push_subscriptions"
    kind = ErrorKind.CONFLICT
