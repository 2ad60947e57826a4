"""What can go wrong with webhooks."""

from cloudyard.foundation.errors import DomainError, ErrorKind


class WebhookNotFound(DomainError):
    """There is no such webhook."""

    code = "webhook_not_found"
    kind = ErrorKind.NOT_FOUND


class DeliveryNotFound(DomainError):
    """The webhook has no such delivery, or it is past its time."""

    code = "webhook_delivery_not_found"
    kind = ErrorKind.NOT_FOUND


class InvalidWebhook(DomainError):
    """A webhook cannot be as it is asked for."""

    code = "invalid_webhook"
    kind = ErrorKind.INVALID


class TooManyWebhooks(DomainError):
    """There are as many webhooks as there may be."""

    code = "too_many_webhooks"
    kind = ErrorKind.CONFLICT


class WebhookInactive(DomainError):
    """Nothing is sent to a webhook that is not active."""

    code = "webhook_inactive"
    kind = ErrorKind.CONFLICT


class DeliveryUnderWay(DomainError):
    """A delivery that has not ended yet cannot be replayed."""

    code = "webhook_delivery_under_way"
    kind = ErrorKind.CONFLICT
