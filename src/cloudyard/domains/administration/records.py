"""What administrators are shown. Amounts are nano-dollars."""

from dataclasses import dataclass

from cloudyard.domains.identity import User


@dataclass(frozen=True, slots=True)
class Overview:
    """A user, and the credit that is free to spend."""

    user: User
    available: int


@dataclass(frozen=True, slots=True)
class Figures:
    """An installation in numbers.

    `active_users` are those that are not suspended, `new_users` those of the current month (UTC). `purchased` is the
    credit that purchases gave before any refund, `used` what calls took, whoever had paid for the credit; `received`
    is the money that payment providers brought in, refunds taken off.
    """

    users: int
    active_users: int
    new_users: int
    purchased: int
    used: int
    received: int
