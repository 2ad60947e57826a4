"""What the ledger refuses."""

from cloudyard.foundation.errors import DomainError, ErrorKind


class InsufficientCredits(DomainError):
    """The wallet cannot pay for this."""

    code = "insufficient_credits"
    kind = ErrorKind.PAYMENT_REQUIRED


class UnbalancedEntry(DomainError):
    """The lines of an entry do not sum to zero."""

    code = "unbalanced_entry"
    kind = ErrorKind.INTERNAL


class HoldNotOpen(DomainError):
    """The hold was captured, released or has expired."""

    code = "hold_not_open"
    kind = ErrorKind.CONFLICT


class IdempotencyConflict(DomainError):
    """The key belongs to another transaction."""

    code = "idempotency_conflict"
    kind = ErrorKind.CONFLICT
