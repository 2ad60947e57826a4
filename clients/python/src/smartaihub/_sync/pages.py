"""Lists that come in pages."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Generic, TypeVar

from smartaihub._requests import Request
from smartaihub._sync.connection import Connection
from smartaihub.types.base import Page

T = TypeVar("T")


class Pages(Generic[T]):
    """A list. Iterate over it for every item; pages are fetched as they are needed.

    Pages are counted from the newest item: one that is added while you read pushes others to the next page, where
    they come again.
    """

    def __init__(self, connection: Connection, request: Request[Page[T]]) -> None:
        self._connection = connection
        self._request = request

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            for item in page.items:
                yield item

    def pages(self, first: int = 1) -> Iterator[Page[T]]:
        """The pages from number `first` on."""
        number, more = first, True
        while more:
            page = self.page(number)
            yield page
            number, more = number + 1, page.pagination.has_next

    def page(self, number: int) -> Page[T]:
        """One page, by its number from 1."""
        query = {**self._request.query, "page": str(number)}
        return self._connection.send(replace(self._request, query=query))
