"""Joining a group that is being written: the event loop offers, the writer's thread takes."""

from queue import Empty, SimpleQueue
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

M = TypeVar("M")


class OpenGroup(Generic[M]):
    """The door of a group, for so many more. Whoever was let in is handed over by `more` or by `close`, once."""

    def __init__(self, room: int) -> None:
        self._arrived: SimpleQueue[M | None] = SimpleQueue()
        self._lock = Lock()
        self._room = room
        self._hurried = False
        self._closed = False

    def join(self, member: M) -> bool:
        """Whether the group takes the member."""
        with self._lock:
            if self._closed or self._room <= 0:
                return False
            self._room -= 1
            self._arrived.put(member)
            return True

    def hurry(self) -> None:
        """Somebody waits for the group: have it wait for nobody."""
        self._hurried = True
        self._arrived.put(None)

    def more(self, until: float) -> list[M]:
        """Those who have joined since, or the next to join; empty if nobody does until then (as `monotonic`), or
        before the group is to hurry."""
        seconds = 0.0 if self._hurried else max(0.0, until - monotonic())
        try:
            first = self._arrived.get(timeout=seconds)
        except Empty:
            return []
        return [*([] if first is None else [first]), *self._rest()]

    def close(self) -> list[M]:
        """Let nobody in any more; those who joined last."""
        with self._lock:
            self._closed = True
        return self._rest()

    def _rest(self) -> list[M]:
        rest = []
        while not self._arrived.empty():
            member = self._arrived.get()
            if member is not None:
                rest.append(member)
        return rest
