"""Money: integers of nano-dollars inside, dollars or credits only where they are shown.

1 USD is 1,000,000,000 nano-dollars. How many credits a dollar is worth is a setting.
"""

from dataclasses import dataclass
from decimal import Decimal

NANOS_PER_USD = 1_000_000_000


def usd_from_nanos(nanos: int) -> Decimal:
    """Exact dollars of an amount in nano-dollars."""
    return Decimal(nanos) / NANOS_PER_USD


def nanos_from_usd(usd: Decimal | int | str) -> int:
    """Nano-dollars of an amount in dollars; ValueError if it has more than nine decimals."""
    nanos = Decimal(usd) * NANOS_PER_USD
    if nanos != nanos.to_integral_value():
        raise ValueError(f"{usd} USD is not a whole number of nano-dollars")
    return int(nanos)


@dataclass(frozen=True, slots=True)
class CreditRate:
    """How credits and nano-dollars convert. `credits_per_usd` divides a dollar into whole nano-dollars."""

    credits_per_usd: int = 100

    def __post_init__(self) -> None:
        if self.credits_per_usd <= 0 or NANOS_PER_USD % self.credits_per_usd:
            raise ValueError("credits_per_usd must be positive and divide 1,000,000,000")

    @property
    def nanos_per_credit(self) -> int:
        """Nano-dollars that one credit is worth."""
        return NANOS_PER_USD // self.credits_per_usd

    def credits(self, nanos: int) -> Decimal:
        """Exact credits of an amount in nano-dollars."""
        return Decimal(nanos) / self.nanos_per_credit

    def nanos(self, credits: Decimal | int | str) -> int:
        """Nano-dollars of an amount in credits; ValueError if it is finer than a nano-dollar."""
        nanos = Decimal(credits) * self.nanos_per_credit
        if nanos != nanos.to_integral_value():
            raise ValueError(f"{credits} credits are not a whole number of nano-dollars")
        return int(nanos)


def plain_number(amount: Decimal) -> int | float:
    """The JSON number of an exact amount: an int where it is whole. For display only, never for sums."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)
