"""Chat completions (document, Create Chat Completion, Stream Chat Completion)."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import TypeVar

import httpx2
from pydantic import BaseModel

from smartaihub._answers import chunk_of, translated
from smartaihub._errors import APIConnectionError
from smartaihub._requests import Request, keyed
from smartaihub._sync.connection import Connection
from smartaihub.types.base import Envelope
from smartaihub.types.chat import ChatChunk, ChatCompletion, ChatMessage, Usage

A = TypeVar("A", bound=BaseModel)

PATH = "/api/mcp/chat/completions"
END = "[DONE]"

Messages = Iterable[ChatMessage | Mapping[str, str]]


class Chat:
    """`client.chat`."""

    def __init__(self, connection: Connection) -> None:
        self.completions = Completions(connection)


class Completions:
    """`client.chat.completions`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self,
        *,
        model: str,
        messages: Messages,
        max_tokens: int | None = None,
        temperature: float | None = None,
        idempotency_key: str | None = None,
    ) -> ChatCompletion:
        """Ask a model, and wait for the whole answer.

        Raises `InsufficientCreditsError`, `NotFoundError` for an unknown model, `ValidationError`, `RateLimitError`.
        """
        request = _request(
            Envelope[ChatCompletion], model, messages, max_tokens, temperature, idempotency_key, stream=False
        )
        return self._connection.data(request)

    @contextmanager
    def stream(
        self,
        *,
        model: str,
        messages: Messages,
        max_tokens: int | None = None,
        temperature: float | None = None,
        idempotency_key: str | None = None,
    ) -> Iterator["ChatStream"]:
        """Ask a model, and hear the answer as it is made.

        Leaving the block closes the connection: the model stops, and what it made until then is charged. A stream that
        has begun is never asked for again.
        """
        request = _request(ChatChunk, model, messages, max_tokens, temperature, idempotency_key, stream=True)
        with self._connection.stream(request) as response:
            yield ChatStream(response)


class ChatStream:
    """An answer under way: iterate over its chunks.

    `text` is what was said so far, `finish_reason` why it ended; `usage` and `cost` (dollars) are there at the end.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self.text = ""
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self.cost: Decimal | None = None
        self._chunks = self._read(response)

    def __iter__(self) -> Iterator[ChatChunk]:
        return self

    def __next__(self) -> ChatChunk:
        return next(self._chunks)

    def read(self) -> str:
        """Wait for the end; the whole text."""
        for _chunk in self:
            pass
        return self.text

    def _read(self, response: httpx2.Response) -> Iterator[ChatChunk]:
        with translated():
            for event in httpx2.EventSource(response):
                if event.data == END:
                    return
                chunk = chunk_of(event.data, response)
                self._note(chunk)
                yield chunk
        raise APIConnectionError("The answer was cut before its end. What was made until then is charged; ask again.")

    def _note(self, chunk: ChatChunk) -> None:
        self.text += chunk.text
        self.usage = chunk.usage or self.usage
        self.cost = chunk.cost if chunk.cost is not None else self.cost
        for choice in chunk.choices:
            self.finish_reason = choice.finish_reason or self.finish_reason


def _request(
    answer: type[A],
    model: str,
    messages: Messages,
    max_tokens: int | None,
    temperature: float | None,
    idempotency_key: str | None,
    *,
    stream: bool,
) -> Request[A]:
    return keyed(
        "POST",
        PATH,
        answer,
        key=idempotency_key,
        model=model,
        messages=[dict(message) for message in messages],
        max_tokens=max_tokens,
        temperature=temperature,
        stream=stream,
    )
