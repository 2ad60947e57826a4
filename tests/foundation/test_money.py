"""Amounts are whole nano-dollars, converted exactly or not at all."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudyard.foundation.money import CreditRate, nanos_from_usd, plain_number, usd_from_nanos

NANOS = st.integers(-(2**63), 2**63)
RATES = st.sampled_from([1, 2, 5, 10, 100, 1000, 1_000_000_000]).map(CreditRate)


@given(NANOS)
def test_dollars_and_back(nanos: int) -> None:
    assert nanos_from_usd(usd_from_nanos(nanos)) == nanos


@given(NANOS, RATES)
def test_credits_and_back(nanos: int, rate: CreditRate) -> None:
    assert rate.nanos(rate.credits(nanos)) == nanos


@given(st.integers(-(10**9), 10**9), RATES)
def test_whole_credits_are_whole_nanos(credits: int, rate: CreditRate) -> None:
    assert rate.credits(rate.nanos(credits)) == credits


def test_known_amounts() -> None:
    assert nanos_from_usd("0.000000001") == 1
    assert nanos_from_usd(Decimal("1.50")) == 1_500_000_000
    assert nanos_from_usd(-2) == -2_000_000_000
    assert usd_from_nanos(1_500_000_000) == Decimal("1.5")
    assert CreditRate().nanos("2.5") == 25_000_000
    assert CreditRate().credits(25_000_000) == Decimal("2.5")
    assert CreditRate(1000).nanos_per_credit == 1_000_000


@pytest.mark.parametrize(
    "amount",
    [
        "0.0000000001",
        "1.0000000000000000000000000000001",
        "nan",
        "inf",
        "-inf",
        "sNaN",
        "",
        "ten",
        "1e999999999",
        "1e-999999999",
    ],
)
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match=r"nano-dollars|not a number|not an amount"):
        nanos_from_usd(amount)
    with pytest.raises(ValueError, match=r"nano-dollars|not a number|not an amount"):
        CreditRate(1).nanos(amount)


@pytest.mark.parametrize("rate", [0, -1, 3, 7, 2_000_000_000])
def test_a_rate_that_does_not_divide_a_dollar_is_refused(rate: int) -> None:
    with pytest.raises(ValueError, match="divide"):
        CreditRate(rate)


def test_numbers_for_display() -> None:
    whole, part = plain_number(Decimal("5.00")), plain_number(Decimal("5.25"))
    assert (whole, type(whole)) == (5, int)
    assert (part, type(part)) == (5.25, float)
