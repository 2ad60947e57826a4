"""Moments in JSON requests: RFC 3339 text with an offset, turned into UTC."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema


def moment(value: object) -> datetime:
    """The moment in UTC. ValueError for anything but a date and time with an offset (RFC 3339, section 5.6)."""
    if not isinstance(value, str):
        raise ValueError("Input should be a date and time, e.g. 2030-01-31T12:00:00Z")
    try:
        parsed = datetime.fromisoformat(value)
        if parsed.tzinfo is None:
            raise ValueError("no offset")
        return parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("Input should be a date and time with an offset, e.g. 2030-01-31T12:00:00Z") from error


Moment = Annotated[datetime, BeforeValidator(moment), WithJsonSchema({"type": "string", "format": "date-time"})]
