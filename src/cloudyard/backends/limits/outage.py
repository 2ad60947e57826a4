"""Remembering that a server hangs, so that not every call waits for it anew."""

from cloudyard.foundation.clock import Clock

REMEMBERED_SECONDS = 2.0


class Outage:
    """Whether a server was found hanging a moment ago. After a pause one call tries it again, for all others."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: float | None = None

    def lasts(self) -> bool:
        """Whether to leave the server alone. Whoever hears False may try it; until that is over, nobody else does."""
        if self._until is None:
            return False
        if self._clock.monotonic() < self._until:
            return True
        self.begin()
        return False

    def begin(self) -> None:
        """Note that the server hangs."""
        self._until = self._clock.monotonic() + REMEMBERED_SECONDS

    def end(self) -> None:
        """Note that the server has answered."""
        self._until = None
