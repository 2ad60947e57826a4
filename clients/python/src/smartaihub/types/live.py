"""Events as they happen."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from smartaihub.types.base import Record


class LiveEvent(Record):
    """Something that happened to the signed-in user. Ids count from 1 for each user, without gaps."""

    id: int
    event: str
    data: Mapping[str, Any]
    timestamp: datetime
