"""Numbers and moments as they come in JSON, and the description of errors."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pydantic import BaseModel, ValidationError

from cloudyard.web.documented_errors import failures
from cloudyard.web.moments import Moment
from cloudyard.web.numbers import ExactNumber


class Asked(BaseModel):
    amount: ExactNumber = Decimal(0)
    until: Moment | None = None


class Fault(BaseModel):
    error: str


@pytest.mark.parametrize(
    ("given", "exact"), [(0.1, "0.1"), (500, "500"), (-2.5, "-2.5"), (1e22, "1E+22"), (10**30, "1" + "0" * 30)]
)
def test_numbers_are_read_as_they_are_written(given: float, exact: str) -> None:
    assert Asked(amount=given).amount == Decimal(exact)


@pytest.mark.parametrize("given", ["5", True, None, [1], {"a": 1}])
def test_only_a_number_is_a_number(given: object) -> None:
    with pytest.raises(ValidationError):
        Asked.model_validate({"amount": given})


@pytest.mark.parametrize(
    "given", ["2030-01-31T12:00:00Z", "2030-01-31T13:00:00+01:00", "2030-01-31T12:00:00.000+00:00"]
)
def test_moments_are_turned_into_utc(given: str) -> None:
    until = Asked.model_validate({"until": given}).until
    assert until == datetime(2030, 1, 31, 12, tzinfo=UTC)
    assert until is not None
    assert until.utcoffset() is not None
    assert until.isoformat().endswith("+00:00")


@pytest.mark.parametrize(
    "given", ["2030-01-31", "2030-01-31T12:00:00", "tomorrow", "", 1_900_000_000, True, "9999-12-31T23:59:59-14:00"]
)
def test_a_moment_without_an_offset_or_beyond_time_is_refused(given: object) -> None:
    with pytest.raises(ValidationError, match="date and time"):
        Asked.model_validate({"until": given})


def test_values_are_described_as_what_comes_over_the_wire() -> None:
    properties = Asked.model_json_schema()["properties"]
    assert properties["amount"]["type"] == "number"
    assert {"type": "string", "format": "date-time"} in properties["until"]["anyOf"]


def test_errors_are_documented_with_the_surface_shape() -> None:
    documented = failures(Fault, 404, 429)
    assert {status: entry["description"] for status, entry in documented.items()} == {
        404: "Not Found",
        429: "Too Many Requests",
        "default": "Any other failure",
    }
    assert all(entry["model"] is Fault for entry in documented.values())
