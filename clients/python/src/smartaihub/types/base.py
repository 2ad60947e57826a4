"""What all answers have in common."""

from datetime import datetime
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

T = TypeVar("T")


class Record(BaseModel):
    """A part of an answer: `firstName` is `first_name` here. Fields of a newer server are kept in `model_extra`."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, frozen=True, extra="allow"
    )


class Meta(Record):
    """About the answer itself. `request_id` is what to quote in a report."""

    timestamp: datetime
    request_id: str
    version: str


class Envelope(Record, Generic[T]):
    """A successful answer."""

    data: T
    meta: Meta | None = None


class Pagination(Record):
    """Where a page lies in its list; pages count from 1."""

    page: int
    limit: int
    total: int
    total_pages: int
    has_next: bool
    has_prev: bool


class Page(Record, Generic[T]):
    """A page of a list."""

    items: list[T] = Field(validation_alias="data")
    pagination: Pagination
    meta: Meta | None = None


class Message(Record):
    """A plain word about what happened."""

    message: str
