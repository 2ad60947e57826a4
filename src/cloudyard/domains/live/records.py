"""What the live feeds give out."""

from datetime import datetime
from typing import Any

from msgspec import Struct


class LiveEvent(Struct, frozen=True):
    """Something that happened to a user. Numbers are the user's own, without gaps."""

    number: int
    kind: str
    payload: dict[str, Any]
    created_at: datetime
