"""What can be wrong with notifications."""

from cloudyard.foundation.errors import DomainError, ErrorKind


class NotificationNotFound(DomainError):
    """The user has no such notification."""

    code = "notification_not_found"
    kind = ErrorKind.NOT_FOUND
