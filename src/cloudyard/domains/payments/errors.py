"""What can go wrong with a payment."""

from cloudyard.foundation.errors import DomainError, ErrorKind


class PackageNotFound(DomainError):
    """No package has this id."""

    code = "package_not_found"
    kind = ErrorKind.NOT_FOUND


class PaymentNotFound(DomainError):
    """The buyer has no payment with this id."""

    code = "payment_not_found"
    kind = ErrorKind.NOT_FOUND


class TooManyOpenPurchases(DomainError):
    """The buyer has as many purchases that are not settled as anybody may have."""

    code = "too_many_open_purchases"
    kind = ErrorKind.CONFLICT


class PaymentFailed(DomainError):
    """The payment was declined, was not authenticated, or was cancelled. Nothing was charged."""

    code = "payment_failed"
    kind = ErrorKind.PAYMENT_REQUIRED


class PaymentMethodRefused(DomainError):
    """The provider does not know the payment method, or cannot use it."""

    code = "payment_method_refused"
    kind = ErrorKind.INVALID


class PaymentRefused(DomainError):
    """The provider does not take a request of ours; its message says why."""

    code = "payment_refused"
    kind = ErrorKind.UPSTREAM


class PaymentProviderUnavailable(DomainError):
    """The provider cannot be reached, or fails."""

    code = "payment_provider_unavailable"
    kind = ErrorKind.UNAVAILABLE


class NotRefundable(DomainError):
    """Nothing was received under the payment, or not so much of it is left."""

    code = "not_refundable"
    kind = ErrorKind.CONFLICT


class RefundRefused(DomainError):
    """The provider does not refund this; its message says why. Nothing was taken or given back."""

    code = "refund_refused"
    kind = ErrorKind.CONFLICT


class ForgedPaymentEvent(DomainError):
    """An event is not signed with our secret, or was signed too long ago."""

    code = "forged_payment_event"
    kind = ErrorKind.INVALID


class PaymentMismatch(DomainError):
    """The provider received another amount than was asked for, or reports something that contradicts the books."""

    code = "payment_mismatch"
    kind = ErrorKind.INTERNAL
