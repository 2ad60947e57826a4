"""Money in the details of errors, in the unit that a surface speaks.

The core names an amount `..._nanos` and gives it as nano-dollars; nobody outside has ever heard of those.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from cloudyard.foundation.money import plain_number, usd_from_nanos

NANOS = "_nanos"


@dataclass(frozen=True, slots=True)
class MoneyUnit:
    """A unit that people know. `name` ends the names of amounts, `amount` gives that of some nano-dollars exactly."""

    name: str
    amount: Callable[[int], Decimal]

    def shown(self, details: Mapping[str, object]) -> dict[str, object]:
        """The details with every amount of money in this unit: `available_nanos` becomes `available_usd`."""
        return dict(self._shown(name, value) for name, value in details.items())

    def _shown(self, name: str, value: object) -> tuple[str, object]:
        if not name.endswith(NANOS) or not isinstance(value, int):
            return name, value
        return f"{name.removesuffix(NANOS)}_{self.name}", plain_number(self.amount(value))


USD = MoneyUnit("usd", usd_from_nanos)
