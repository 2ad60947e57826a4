"""Exact amounts in JSON: a number, read without going through binary fractions."""

from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema


def exact(value: object) -> Decimal:
    """The number as it is written in decimal. ValueError for anything but a JSON number."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("Input should be a number")
    return Decimal(repr(value))


ExactNumber = Annotated[Decimal, BeforeValidator(exact), WithJsonSchema({"type": "number"})]
