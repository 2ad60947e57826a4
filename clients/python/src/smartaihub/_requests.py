"""A request as data: what is asked, what the answer is, and whether it may be asked again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import uuid4

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

A = TypeVar("A", bound=BaseModel)

IDEMPOTENCY_KEY = "Idempotency-Key"


class Repeat(Enum):
    """When a request may be sent again though nobody knows what became of the first."""

    SAFE = "doing it twice is the same as doing it once"
    KEYED = "the server does it once for its idempotency key"
    UNSENT = "only if the server certainly did nothing"


@dataclass(frozen=True, slots=True)
class Request(Generic[A]):
    """What is sent, and the form of the answer. `signed_in` says whether the caller's credential goes along."""

    method: str
    path: str
    answer: type[A]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeat: Repeat = Repeat.SAFE
    signed_in: bool = True


def get(path: str, answer: type[A], **query: Any) -> Request[A]:
    """A question; queries that are None are left out."""
    return Request("GET", path, answer, query={name: _text(value) for name, value in given(**query).items()})


def put(path: str, answer: type[A], *, repeat: Repeat = Repeat.SAFE, **body: Any) -> Request[A]:
    """A change after which things are as the body says; values that are None are left out."""
    return Request("PUT", path, answer, body=given(**body), repeat=repeat)


def post(path: str, answer: type[A], *, signed_in: bool = True, **body: Any) -> Request[A]:
    """A change that is not repeated unless the first one certainly was not made."""
    return Request("POST", path, answer, body=given(**body), repeat=Repeat.UNSENT, signed_in=signed_in)


def keyed(method: str, path: str, answer: type[A], *, key: str | None = None, **body: Any) -> Request[A]:
    """A change that the server makes once for its idempotency key. Without one of the caller's, a key is made."""
    headers = {IDEMPOTENCY_KEY: key if key is not None else str(uuid4())}
    return Request(method, path, answer, body=given(**body), headers=headers, repeat=Repeat.KEYED)


def given(**values: Any) -> dict[str, Any]:
    """Values under the API's names; those that are None are left out."""
    return {to_camel(name): _plain(value) for name, value in values.items() if value is not None}


def segment(value: str) -> str:
    """An id as a part of a path. Raises ValueError for an empty one, which would be another path."""
    if not value:
        raise ValueError("an id is empty; give the id of what you mean")
    return quote(value, safe="")


def _plain(value: Any) -> Any:
    """A value as JSON writes it; an amount keeps every digit or is refused."""
    if isinstance(value, date):  # or a datetime, which is one
        return value.isoformat()
    if not isinstance(value, Decimal):
        return value
    number = int(value) if value == value.to_integral_value() else float(value)
    if Decimal(repr(number)) != value:
        raise ValueError(f"{value} has more digits than a JSON number keeps; round it")
    return number


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
