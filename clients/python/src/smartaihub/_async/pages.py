"""Lists that come in pages."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Generic, TypeVar

from smartaihub._async.connection import AsyncConnection
from smartaihub._requests import Request
from smartaihub.types.base import Page

T = TypeVar("T")


class AsyncPages(Generic[T]):
    """A list. Iterate over it for every item; pages are fetched as they are needed.

    Pages are counted from the newest item: one that is added while you read pushes others to the next page, where
    they come again.
    """

    def __init__(self, connection: AsyncConnection, request: Request[Page[T]]) -> None:
        self._connection = connection
        self._request = request

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def pages(self, first: int = 1) -> AsyncIterator[Page[T]]:
        """The pages from number `first` on."""
        number, more = first, True
        while more:
            page = await self.page(number)
            yield page
            number, more = number + 1, page.pagination.has_next

    async def page(self, number: int) -> Page[T]:
        """One page, by its number from 1."""
        query = {**self._request.query, "page": str(number)}
        return await self._connection.send(replace(self._request, query=query))
