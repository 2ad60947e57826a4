"""Money: integers of nano-dollars inside, dollars or credits only where they are shown.

1 USD is 1,000,000,000 nano-dollars. How many credits a dollar is worth is a setting.
"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

NANOS_PER_USD = 1_000_000_000
MOST_DIGITS = 40
"""Before or after the point: a number beyond would only cost time."""


def usd_from_nanos(nanos: int) -> Decimal:
    """Exact dollars of an amount in nano-dollars."""
    return Decimal(nanos) / NANOS_PER_USD


def nanos_from_usd(usd: Decimal | int | str) -> int:
    """Nano-dollars of an amount in dollars; ValueError if it has more than nine decimals or is no number."""
    return _whole_nanos(usd, NANOS_PER_USD, "USD")


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
        """Nano-dollars of an amount in credits; ValueError if it is finer than a nano-dollar or no number."""
        return _whole_nanos(credits, self.nanos_per_credit, "credits")


def plain_number(amount: Decimal) -> int | float:
    """The JSON number of an exact amount: an int where it is whole. For display only, never for sums."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def _whole_nanos(amount: Decimal | int | str, nanos_per_unit: int, unit: str) -> int:
    """Exact whatever the number of digits, which products of Decimals are not."""
    try:
        number = Decimal(amount)
    except InvalidOperation as error:
        raise ValueError(f"{amount!r} {unit} is not a number") from error
    if not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS:
        raise ValueError(f"{amount} {unit} is not an amount of money")
    numerator, denominator = number.as_integer_ratio()
    nanos, rest = divmod(numerator * nanos_per_unit, denominator)
    if rest:
        raise ValueError(f"{amount} {unit} is not a whole number of nano-dollars")
    return nanos
