"""Fan-out within this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cloudyard.foundation.fan_out import Listener


class MemoryFanOut:
    """Listeners of one process."""

    name = "memory"

    def __init__(self) -> None:
        self._listeners: dict[str, set[Listener]] = {}

    async def publish(self, topic: str, message: bytes) -> None:
        """Tell everyone who listens now."""
        self.deliver(topic, message)

    def deliver(self, topic: str, message: bytes) -> None:
        """Hand a message to the listeners of a topic."""
        for listener in self._listeners.get(topic, ()):
            listener.hear(message)

    def missed(self) -> None:
        """Tell every listener that messages may have been lost."""
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.miss()

    @asynccontextmanager
    async def listen(self, topic: str) -> AsyncIterator[Listener]:
        """Listen for as long as the context lasts."""
        listener = Listener()
        listeners = self._listeners.setdefault(topic, set())
        listeners.add(listener)
        try:
            yield listener
        finally:
            listeners.discard(listener)
            if not listeners and self._listeners.get(topic) is listeners:
                del self._listeners[topic]

    async def close(self) -> None:
        """Nothing is held."""
