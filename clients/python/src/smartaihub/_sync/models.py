"""Models that can be asked (document, List Available Models)."""

from smartaihub._requests import get
from smartaihub._sync.connection import Connection
from smartaihub.types.base import Envelope
from smartaihub.types.chat import Model

ModelList = list[Model]


class Models:
    """`client.models`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> ModelList:
        """The chat models that the caller may use, with the price of a token in dollars."""
        return self._connection.data(get("/api/mcp/models", Envelope[ModelList]))
