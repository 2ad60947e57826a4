"""What the ledger refuses."""

from cloudyard.foundation.errors import DomainError, ErrorKind


class InsufficientCredits(DomainError):
    """The wallet cannot pay for this."""

    code = "insufficient_credits"
    kind = ErrorKind.PAYMENT_REQUIRED


class AmountOutOfRange(DomainError):
    """The balance would leave what an account can hold."""

    code = "amount_out_of_range"
    kind = ErrorKind.INVALID


class UnbalancedEntry(DomainError):
    """The lines of an entry do not sum to zero, or move nothing."""

    code = "unbalanced_entry"
    kind = ErrorKind.INTERNAL


class HoldNotOpen(DomainError):
    """The hold was captured, released or has expired."""

    code = "hold_not_open"
    kind = ErrorKind.CONFLICT


class IdempotencyConflict(DomainError):
    """The key belongs to a transaction that says something else."""

    code = "idempotency_conflict"
    kind = ErrorKind.CONFLICT
