"""What can be bought, and for how much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloudyard.domains.payments.errors import PackageNotFound
from cloudyard.domains.payments.records import NANOS_PER_CENT, Order, Package
from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.money import CreditRate, nanos_from_usd, usd_from_nanos
from cloudyard.foundation.settings.payments import PaymentSettings


@dataclass(frozen=True, slots=True)
class Price:
    """What an order comes to: so much in the wallet for so many cents."""

    package_id: str | None
    value: int
    cents: int


class PriceList:
    """The packages, and the bounds of a free amount."""

    def __init__(self, settings: PaymentSettings, rate: CreditRate) -> None:
        self._rate = rate
        self._packages: Mapping[str, Package] = {
            key: Package(key, package.name, rate.nanos(package.credits), nanos_from_usd(package.usd) // NANOS_PER_CENT)
            for key, package in settings.packages.items()
        }
        self._smallest = nanos_from_usd(settings.smallest_usd)
        self._largest = nanos_from_usd(settings.largest_usd)

    @property
    def packages(self) -> Sequence[Package]:
        """Every package, the cheapest first."""
        return sorted(self._packages.values(), key=lambda package: package.cents)

    def price(self, order: Order) -> Price:
        """What an order comes to. Raises `PackageNotFound` or `InvalidInput`."""
        if order.value is not None and order.value <= 0:
            raise InvalidInput("The amount must be more than zero.", field="amount")
        if order.package_id is not None:
            return self._of_package(order.package_id, order.value)
        if order.value is None:
            raise InvalidInput("Name a package or an amount of credits.", field="package_id")
        return self._of_amount(order.value)

    def _of_package(self, package_id: str, value: int | None) -> Price:
        package = self._packages.get(package_id)
        if package is None:
            known = ", ".join(each.id for each in self.packages) or "none"
            raise PackageNotFound(f"There is no package of this id. There are: {known}.", field="package_id")
        if value is not None and value != package.value:
            raise InvalidInput(
                f"The package {package.id} holds {self._rate.credits(package.value):f} credits. Send that as the "
                "amount, or leave the amount out.",
                field="amount",
            )
        return Price(package.id, package.value, package.cents)

    def _of_amount(self, value: int) -> Price:
        if not self._smallest <= value <= self._largest:
            least, most = (self._rate.credits(bound) for bound in (self._smallest, self._largest))
            raise InvalidInput(f"Buy {least:f} to {most:f} credits at a time.", field="amount")
        cents, rest = divmod(value, NANOS_PER_CENT)
        if rest:
            raise InvalidInput(
                f"The amount comes to {usd_from_nanos(value)} dollars. Choose one that is a whole number of cents.",
                field="amount",
            )
        return Price(None, value, cents)
