"""What billing refuses."""

from cloudyard.foundation.errors import DomainError, ErrorKind


class PriceMissing(DomainError):
    """Nothing says what this costs, so it is not sold."""

    code = "price_missing"
    kind = ErrorKind.UNAVAILABLE


class SpendCapReached(DomainError):
    """The API key may not spend this much more."""

    code = "spend_cap_reached"
    kind = ErrorKind.PAYMENT_REQUIRED
