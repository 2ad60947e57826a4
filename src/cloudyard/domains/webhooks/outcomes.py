"""How tries end, and what follows from that: when a delivery is tried again, and when an endpoint gets nothing more."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from sqlalchemy import Row

from cloudyard.domains.webhooks.ports import Answer
from cloudyard.domains.webhooks.repository import NEVER
from cloudyard.foundation.durable.failures import storable_text

PAUSES = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
"""Seconds after each failed try until the next: the schedule of Svix, whose first try comes at once."""
DISABLED_AFTER = timedelta(days=5)
LONGEST_LOCATION = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one try ended. `error` says why the receiver did not take it, None where it did."""

    at: datetime
    duration_ms: int
    status: int | None = None
    error: str | None = None
    answer: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it."""
        return self.error is None

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no more, ever (Standard Webhooks)."""
        return self.status == HTTPStatus.GONE


Tried = tuple[Row[Any], Outcome]
"""A delivery as it was claimed, and how it ended."""


def answered(answer: Answer, at: datetime, duration_ms: int) -> Outcome:
    """What an answer means."""
    refusal = None if 200 <= answer.status < 300 else storable_text(_refusal(answer.status, answer.location))
    return Outcome(at, duration_ms, answer.status, refusal, storable_text(answer.text))


def unanswered(why: str, at: datetime, duration_ms: int) -> Outcome:
    """A try that brought no answer."""
    return Outcome(at, duration_ms, error=storable_text(why))


def after_failure(row: Row[Any], now: datetime) -> dict[str, Any]:
    """Where a delivery stands after a failed try: due again, or given up. Only tries that came to an end count."""
    tries = row.tries + 1
    if tries > len(PAUSES):
        return {"state": "dead", "due_at": NEVER, "ended_at": now, "tries": tries}
    return {"due_at": now + timedelta(seconds=PAUSES[tries - 1]), "tries": tries}


def is_last(row: Row[Any]) -> bool:
    """Whether a delivery is given up when this try fails."""
    return bool(row.tries >= len(PAUSES))


def attempt_row(row: Row[Any], outcome: Outcome) -> dict[str, Any]:
    """A try as the log keeps it."""
    tried = {name: getattr(outcome, name) for name in ("at", "status", "error", "answer", "duration_ms")}
    return {"delivery_id": row.id, **tried}


def reason_to_stop(last: Outcome, since: datetime, now: datetime) -> str | None:
    """Why nothing more is sent to an endpoint, None while it is."""
    if last.gone:
        return "The receiver answered 410 (Gone), which means that it wants no more (Standard Webhooks)."
    if now - since < DISABLED_AFTER:
        return None
    return (
        f"Every delivery has failed since {since:%Y-%m-%d %H:%M} UTC, last with: {last.error} "
        "Mend the receiver, then set `active` to true; what waits is sent then."
    )


def _refusal(status: int, location: str | None) -> str:
    if location is not None:
        return (
            f"The receiver answered {status} and redirects to {location[:LONGEST_LOCATION]}; redirects are not "
            "followed. Give the final address as the webhook's URL."
        )
    return f"The receiver answered {status}; a delivery counts as taken when it answers 200 to 299."
