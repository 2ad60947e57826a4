"""Pages of lists: `limit`/`offset` and `page`/`limit`, with maxima that no caller can exceed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query

FURTHEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a list by offset."""

    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list by page number, from 1."""

    page: int
    limit: int

    @property
    def offset(self) -> int:
        """How many items come before."""
        return (self.page - 1) * self.limit

    def pages(self, total: int) -> int:
        """How many pages a list of `total` items has."""
        return -(-total // self.limit)


def window(*, default: int, most: int) -> Callable[..., Window]:
    """FastAPI dependency for `?limit=&offset=`; a limit above `most` is refused."""

    def read(
        limit: Annotated[int, Query(ge=1, le=most, description="How many items to return.")] = default,
        offset: Annotated[int, Query(ge=0, le=FURTHEST, description="How many items to skip.")] = 0,
    ) -> Window:
        return Window(limit, offset)

    return read


def page(*, default: int, most: int) -> Callable[..., Page]:
    """FastAPI dependency for `?page=&limit=`; a limit above `most` is refused."""

    def read(
        page: Annotated[int, Query(ge=1, le=FURTHEST // most, description="Which page, from 1.")] = 1,
        limit: Annotated[int, Query(ge=1, le=most, description="Items a page.")] = default,
    ) -> Page:
        return Page(page, limit)

    return read
