"""Noticing that the client has gone, soon and at hardly any cost."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from starlette.types import Receive

from cloudyard.web.errors import ClientLeft

T = TypeVar("T")

PATIENCE_SECONDS = 0.1
"""Work that is done sooner is not watched: a watcher is a task more a request."""


async def wait_until_left(receive: Receive) -> None:
    """Return when the client has gone. The request's body must have been read before."""
    while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
        continue


async def unless_left(receive: Receive, work: Awaitable[T]) -> T:
    """Do the work, and cancel it when the client has left, within a tenth of a second. Raises `ClientLeft` then.

    The work runs in the calling task.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("unless_left needs a running task")
    watch = _Watch(task, receive)
    timer = task.get_loop().call_later(PATIENCE_SECONDS, watch.begin)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.left and task.uncancel() == 0:
            raise ClientLeft from None
        raise
    finally:
        timer.cancel()
        watch.end()


class _Watch:
    """Cancels a task when the client leaves."""

    __slots__ = ("_receive", "_task", "_watcher", "left")

    def __init__(self, task: "asyncio.Task[Any]", receive: Receive) -> None:
        self._task = task
        self._receive = receive
        self._watcher: asyncio.Task[None] | None = None
        self.left = False

    def begin(self) -> None:
        self._watcher = self._task.get_loop().create_task(self._watch(), name="client-watch")

    def end(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()

    async def _watch(self) -> None:
        await wait_until_left(self._receive)
        self.left = True
        self._task.cancel()
