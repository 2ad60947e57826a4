"""Noticing at once that the client has gone."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Receive

from cloudyard.web.errors import ClientLeft

T = TypeVar("T")


async def wait_until_left(receive: Receive) -> None:
    """Return when the client has gone. The request's body must have been read before."""
    while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
        continue


async def unless_left(receive: Receive, work: Awaitable[T]) -> T:
    """Do the work, and cancel it the moment the client leaves. Raises `ClientLeft` then.

    The work runs in the calling task, so that a call costs one task and not two.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("unless_left needs a running task")
    left = False

    def stop(watch: "asyncio.Task[None]") -> None:
        nonlocal left
        if not watch.cancelled():
            left = True
            task.cancel()

    watcher = asyncio.create_task(wait_until_left(receive), name="client-watch")
    watcher.add_done_callback(stop)
    try:
        return await work
    except asyncio.CancelledError:
        if left and task.uncancel() == 0:
            raise ClientLeft from None
        raise
    finally:
        watcher.remove_done_callback(stop)
        watcher.cancel()
