"""How many requests a process answered today, read off the counters that it exports anyway."""

from dataclasses import dataclass
from datetime import date

from cloudyard.foundation.clock import Clock
from cloudyard.foundation.telemetry.metrics import HttpTotals, Metrics


@dataclass(frozen=True, slots=True)
class Day:
    """Requests of one day. `mean_seconds` runs from a request's head to its answer's end."""

    requests: int
    mean_seconds: float
    failed_share: float


class Traffic:
    """The requests that this process answered since midnight (UTC), or since it started, whichever is later.

    The turn of the day is noticed by whichever comes first, `mark` or `today`; what was answered between midnight and
    then belongs to the day before. Other processes of the installation count for themselves.
    """

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._day: date = clock.now().date()
        self._before = HttpTotals(0, 0, 0.0)

    async def mark(self) -> None:
        """Notice a new day."""
        self._turn()

    def today(self) -> Day:
        """The day so far. A request counts as failed where the fault was ours (a status of 500 or more)."""
        self._turn()
        now, before = self._metrics.http_totals(), self._before
        requests = now.requests - before.requests
        if not requests:
            return Day(0, 0.0, 0.0)
        return Day(requests, (now.seconds - before.seconds) / requests, (now.failed - before.failed) / requests)

    def _turn(self) -> None:
        today = self._clock.now().date()
        if today != self._day:
            self._day = today
            self._before = self._metrics.http_totals()
