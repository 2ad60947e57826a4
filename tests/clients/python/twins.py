"""Both clients behind one way of calling them, so that every test holds for both."""

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import Any

from cloudyard_client import AsyncCloudyard, Cloudyard

Client = Cloudyard | AsyncCloudyard
TWINS = (Cloudyard, AsyncCloudyard)


async def done(answer: Any) -> Any:
    """What a call gives, whether it has to be awaited or not."""
    return await answer if inspect.isawaitable(answer) else answer


async def each(items: AsyncIterable[Any] | Iterable[Any]) -> AsyncIterator[Any]:
    """Iterate over either kind."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def everything(items: AsyncIterable[Any] | Iterable[Any]) -> list[Any]:
    """All items of either kind."""
    return [item async for item in each(items)]


async def following(items: Any) -> Any:
    """The next item of either kind."""
    return await anext(items) if isinstance(items, AsyncIterable) else next(items)


@asynccontextmanager
async def inside(block: AbstractContextManager[Any] | AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
    """Enter either kind."""
    if isinstance(block, AbstractAsyncContextManager):
        async with block as entered:
            yield entered
    else:
        with block as entered:
            yield entered
