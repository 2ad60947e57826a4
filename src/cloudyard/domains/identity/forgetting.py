"""Ended sessions and keys, told from process to process, so that no other one honours them from memory."""

import asyncio

from cloudyard.domains.identity.credential_cache import CredentialCache
from cloudyard.foundation.fan_out import FanOut

TOPIC = "identity:forget"
QUIET_SECONDS = 60.0


class SharedForgetting:
    """Tells other processes whose credentials to forget, and hears it from them."""

    def __init__(self, fan_out: FanOut) -> None:
        self._fan_out = fan_out
        self._telling: set[asyncio.Task[None]] = set()

    def tell(self, user_id: str) -> None:
        """Tell the others; returns at once."""
        task = asyncio.get_running_loop().create_task(self._fan_out.publish(TOPIC, user_id.encode()), name="forget")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def run(self, cache: CredentialCache) -> None:
        """Listen for ever; where something may have been missed, everything is forgotten."""
        async with self._fan_out.listen(TOPIC) as listener:
            while True:
                message = await listener.next(QUIET_SECONDS)
                if message is None:
                    cache.forget_all_here()
                else:
                    cache.forget_here(message.decode())
