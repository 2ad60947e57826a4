"""Models that can be asked (document, List Available Models)."""

from smartaihub._async.connection import AsyncConnection
from smartaihub._requests import get
from smartaihub.types.base import Envelope
from smartaihub.types.chat import Model

ModelList = list[Model]


class AsyncModels:
    """`client.models`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(self) -> ModelList:
        """The chat models that the caller may use, with the price of a token in dollars."""
        return await self._connection.data(get("/api/mcp/models", Envelope[ModelList]))
