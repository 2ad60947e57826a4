"""How whoever sends learns at once that there is something to send."""

import asyncio


class Wakening:
    """Wakes the sending loop of this process; those of other processes find out by asking the database."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There may be something to send."""
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Return when woken, or after so many seconds."""
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            return
        finally:
            self._woken.clear()
