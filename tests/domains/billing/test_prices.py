"""The price book: what things cost, and since when."""

import asyncio
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudyard.domains.billing import Charge, Meter, Payer, Price, PriceLine, PriceMissing, Usage
from cloudyard.domains.billing.prices import PriceBook, price_lines
from cloudyard.foundation.database import Database
from cloudyard.foundation.errors import ErrorKind
from cloudyard.foundation.settings.billing import PriceSettings
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import Books, open_books

METERS = st.sampled_from(list(Meter))
LINES = st.lists(st.builds(PriceLine, METERS, st.integers(0, 10**12), st.integers(1, 10**7)), max_size=4)
QUANTITIES = st.dictionaries(METERS, st.integers(0, 10**9))


def test_a_started_nano_dollar_is_counted_whole() -> None:
    line = PriceLine(Meter.INPUT_TOKEN, 150_000_000, 1_000_000)
    assert [line.amount(quantity) for quantity in (0, 1, 2, 1_000_000)] == [0, 150, 300, 150_000_000]
    odd = PriceLine(Meter.OUTPUT_TOKEN, 1, 3)
    assert [odd.amount(quantity) for quantity in range(5)] == [0, 1, 1, 1, 2]


def test_lines_add_up_and_other_meters_are_free() -> None:
    price = Price("id", "sku", 1, (PriceLine(Meter.INPUT_TOKEN, 2), PriceLine(Meter.OUTPUT_TOKEN, 5)))
    assert price.amount({Meter.INPUT_TOKEN: 3, Meter.OUTPUT_TOKEN: 4, Meter.SECOND: 99}) == 26
    assert price.line(Meter.OUTPUT_TOKEN) == PriceLine(Meter.OUTPUT_TOKEN, 5)
    assert price.line(Meter.CALL) is None


@given(LINES, QUANTITIES, QUANTITIES)
def test_what_is_charged_never_exceeds_the_hold_nor_what_was_used(
    lines: list[PriceLine], worst: dict[Meter, int], used: dict[Meter, int]
) -> None:
    price = Price("id", "sku", 1, tuple(lines))
    held = price.amount(worst)
    charge = Charge("hold", Payer("user"), price, held, "Test")
    cut = charge.within_hold(used)
    assert 0 <= charge.amount_of(used) == price.amount(cut) <= min(held, price.amount(used))
    assert all(0 <= cut[meter] <= used[meter] for meter in used)
    if price.amount(used) <= held:
        assert cut == used


def test_prices_as_configured() -> None:
    settings = [
        PriceSettings(meter="input_token", usd=Decimal("0.15"), per=1_000_000),
        PriceSettings(meter="call", usd=Decimal("0.000000001")),
    ]
    assert price_lines(settings) == (
        PriceLine(Meter.INPUT_TOKEN, 150_000_000, 1_000_000),
        PriceLine(Meter.CALL, 1, 1),
    )
    with pytest.raises(ValueError, match="furlong"):
        price_lines([PriceSettings(meter="furlong", usd=Decimal(1))])
    with pytest.raises(ValueError, match="whole number of nano-dollars"):
        price_lines([PriceSettings(meter="call", usd=Decimal("0.0000000001"))])


async def test_a_new_version_takes_the_place_of_the_last(books: Books, database: Database, clock: ManualClock) -> None:
    one, two = [PriceLine(Meter.CALL, 1)], [PriceLine(Meter.CALL, 2)]
    first = await books.prices.publish("sku", one)
    assert await books.prices.publish("sku", one) == first
    second = await books.prices.publish("sku", two)
    assert (first.version, second.version, books.prices.current("sku")) == (1, 2, second)
    third = await books.prices.publish("sku", one)
    assert (third.version, third.lines) == (3, first.lines)
    await books.prices.publish("other", one)

    read = PriceBook(database, clock, books.ids)
    with pytest.raises(PriceMissing):
        read.current("sku")
    await read.load()
    assert (read.current("sku"), read.current("other").version) == (third, 1)


async def test_what_has_no_price_is_not_sold(books: Books) -> None:
    with pytest.raises(PriceMissing, match=r"billing\.prices") as caught:
        books.prices.current("model:unknown")
    assert caught.value.kind is ErrorKind.UNAVAILABLE


async def test_processes_that_start_together_publish_one_version(
    books: Books, database_url: str, clock: ManualClock
) -> None:
    others = [Database(database_url) for _ in range(3)]
    shelves = [books, *(open_books(other, clock, books.ids) for other in others)]
    for version in range(1, 6):
        lines = [PriceLine(Meter.CALL, version)]
        published = await asyncio.gather(*(shelf.prices.publish("sku", lines) for shelf in shelves))
        assert len(set(published)) == 1
        assert published[0].version == version
    for other in others:
        await other.close()


async def test_a_charge_keeps_the_price_it_began_with(books: Books) -> None:
    user = await books.user(1000)
    old = await books.price(10, sku="sku")
    charge = await books.open(user, old)
    await books.price(500, sku="sku")
    assert (await books.charges.settle(charge, Usage({Meter.CALL: 1}))).amount == 10
    assert await books.discrepancies() == []
