"""The price book: versioned prices by SKU.

A price never changes; a new version takes its place, and a usage record names the version that rated it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from cloudyard.domains.billing.errors import PriceMissing
from cloudyard.domains.billing.models import price_versions
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.money import nanos_from_usd
from cloudyard.foundation.settings.billing import PriceSettings


class Meter(StrEnum):
    """What is counted."""

    INPUT_TOKEN = "input_token"  # noqa: S105 - a meter, not a secret
    OUTPUT_TOKEN = "output_token"  # noqa: S105 - a meter, not a secret
    SECOND = "second"
    GB_HOUR = "gb_hour"
    CALL = "call"


@dataclass(frozen=True, slots=True)
class PriceLine:
    """`nanos` nano-dollars for every `per` units of a meter."""

    meter: Meter
    nanos: int
    per: int = 1

    def amount(self, quantity: int) -> int:
        """Price of a quantity, a started nano-dollar counted whole (the one rounding rule of the house)."""
        return -(-quantity * self.nanos // self.per)


@dataclass(frozen=True, slots=True)
class Price:
    """A version of what a SKU costs."""

    id: str
    sku: str
    version: int
    lines: tuple[PriceLine, ...]

    def amount(self, quantities: Mapping[Meter, int]) -> int:
        """Price of what was consumed; a meter without a line is free."""
        total = 0
        for line in self.lines:
            total += line.amount(quantities.get(line.meter, 0))
        return total

    def line(self, meter: Meter) -> PriceLine | None:
        """The line of a meter."""
        for line in self.lines:
            if line.meter is meter:
                return line
        return None


def price_lines(settings: Sequence[PriceSettings]) -> tuple[PriceLine, ...]:
    """Price lines as configured. Raises ValueError for an unknown meter or a price finer than a nano-dollar."""
    return tuple(PriceLine(Meter(item.meter), nanos_from_usd(item.usd), item.per) for item in settings)


class PriceBook:
    """Keeps the current version of every price in memory; the database keeps them all."""

    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database = database
        self._clock = clock
        self._ids = ids
        self._current: dict[str, Price] = {}

    def current(self, sku: str) -> Price:
        """The price in force. Raises `PriceMissing`."""
        price = self._current.get(sku)
        if price is None:
            raise PriceMissing(f"{sku} has no price, so it cannot be sold. Set billing.prices.'{sku}' in the settings.")
        return price

    async def publish(self, sku: str, lines: Sequence[PriceLine]) -> Price:
        """Make these lines the price in force; a new version only if they differ from the last."""
        try:
            price = await self._publish(sku, lines)
        except IntegrityError:  # another process has just published this version: look at what it wrote
            price = await self._publish(sku, lines)
        self._current[sku] = price
        return price

    async def _publish(self, sku: str, lines: Sequence[PriceLine]) -> Price:
        async with self._database.transaction() as tx:
            last = await _last(tx, sku)
            if last is not None and last.lines == tuple(lines):
                return last
            price = Price(self._ids.new(), sku, last.version + 1 if last else 1, tuple(lines))
            await tx.execute(insert(price_versions).values(**_row(price), created_at=self._clock.now()))
        return price

    async def load(self) -> None:
        """Read the last version of every price (at start, and after another process published one)."""
        newest = (
            select(price_versions.c.sku, func.max(price_versions.c.version).label("version"))
            .group_by(price_versions.c.sku)
            .subquery()
        )
        query = select(price_versions).join(
            newest, (price_versions.c.sku == newest.c.sku) & (price_versions.c.version == newest.c.version)
        )
        async with self._database.reading() as tx:
            self._current = {row.sku: price_from_row(row) for row in await tx.all(query)}


async def _last(tx: Transaction, sku: str) -> Price | None:
    query = select(price_versions).where(price_versions.c.sku == sku).order_by(price_versions.c.version.desc())
    row = await tx.first(query.limit(1))
    return price_from_row(row) if row is not None else None


def price_from_row(row: Any) -> Price:
    """A price as stored."""
    lines = tuple(PriceLine(Meter(line["meter"]), line["nanos"], line["per"]) for line in row.lines)
    return Price(row.id, row.sku, row.version, lines)


def _row(price: Price) -> dict[str, Any]:
    lines = [{"meter": line.meter.value, "nanos": line.nanos, "per": line.per} for line in price.lines]
    return {"id": price.id, "sku": price.sku, "version": price.version, "lines": lines}
