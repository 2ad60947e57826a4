"""What billing gives out. Amounts are nano-dollars."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a charge came to, and what the payer can spend after it."""

    hold_id: str
    amount: int
    left: int


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """What was consumed, at which price, for how much."""

    hold_id: str
    user_id: str
    api_key_id: str | None
    price_id: str
    quantities: Mapping[str, int]
    amount: int
    outcome: str
    details: Mapping[str, object]
    created_at: datetime
