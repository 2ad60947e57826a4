"""The one vocabulary of failures. Domains raise these; each surface renders them in its own shape."""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar


class ErrorKind(StrEnum):
    """What sort of failure it is; every surface maps each kind to a status and an envelope."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    PAYMENT_REQUIRED = "payment_required"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    UPSTREAM = "upstream"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


class DomainError(Exception):
    """A failure that a caller can act upon.

    `message` says what happened, why, and what to do next. `field` names the input at fault (dotted path),
    `details` carries values a program can read, `retry_after` is in seconds. `for_operators` is what callers do not
    hear: addresses, settings, the words of a service behind this one. As a text the error has both.
    """

    code: ClassVar[str] = "internal_error"
    kind: ClassVar[ErrorKind] = ErrorKind.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        details: Mapping[str, object] | None = None,
        field: str | None = None,
        retry_after: float | None = None,
        for_operators: str | None = None,
    ) -> None:
        super().__init__(message if for_operators is None else f"{message} ({for_operators})")
        self.message = message
        self.details = dict(details or {})
        self.field = field
        self.retry_after = retry_after
        self.for_operators = for_operators


class InvalidInput(DomainError):
    """A value that a caller sent cannot be accepted."""

    code = "invalid_input"
    kind = ErrorKind.INVALID


class FeatureUnavailable(DomainError):
    """A part is not installed or not configured; the message names the extra or the setting."""

    code = "feature_unavailable"
    kind = ErrorKind.UNAVAILABLE
