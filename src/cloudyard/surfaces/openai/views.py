"""How the answer to one request is written out: whole, or as the events of a stream.

A view belongs to one request. `pieces`, then `closing` or `broken_off`, are a stream's events in their order.
"""

import base64
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from cloudyard.domains.billing.batch import Write
from cloudyard.domains.inference import Answer, ChatRequest, CompletionRequest, EmbeddingRequest
from cloudyard.foundation.errors import DomainError
from cloudyard.surfaces.openai.errors import error_body

Request = ChatRequest | CompletionRequest | EmbeddingRequest
R = TypeVar("R", bound=Request, covariant=True)

encode = msgspec.json.Encoder().encode

DONE = b"data: [DONE]\n\n"
NOT_IN_USAGE_CHUNK = ("choices", "usage")
FLOAT_BYTES = 4


class View(Protocol[R]):
    """The answer to one request, as its endpoint shows it."""

    @property
    def fields(self) -> Mapping[str, str]:
        """What the endpoint calls fields that the inference domain calls otherwise."""
        ...

    @property
    def request(self) -> R:
        """The request as the inference domain takes it."""
        ...

    @property
    def stream(self) -> bool:
        """Whether the answer is wanted as a stream."""
        ...

    def whole(self, answer: Answer) -> bytes:
        """The body of a whole answer."""
        ...

    def pieces(self, chunk: dict[str, Any]) -> bytes:
        """The events that a chunk gives."""
        ...

    def closing(self, answer: Answer) -> bytes:
        """The events that end a stream whose answer is complete."""
        ...

    def broken_off(self, error: DomainError) -> bytes:
        """The events that end a stream whose answer is not."""
        ...

    def writes(self, answer: Answer) -> tuple[Write, ...]:
        """What must be kept in the transaction that charges for the answer."""
        ...


class CompletionView(Generic[R]):
    """Chat and text completions: the chunks as they are."""

    __slots__ = ("_head", "request")

    fields: Mapping[str, str] = MappingProxyType({})

    def __init__(self, request: R) -> None:
        self.request = request
        self._head: Mapping[str, Any] = {}

    @property
    def stream(self) -> bool:
        """Whether the answer is wanted as a stream."""
        return not isinstance(self.request, EmbeddingRequest) and bool(self.request.stream)

    def whole(self, answer: Answer) -> bytes:
        """The body of a whole answer."""
        return encode(answer.body)

    def pieces(self, chunk: dict[str, Any]) -> bytes:
        """The event of a chunk. The usage comes with `closing`."""
        if not chunk["choices"]:
            return b""
        self._head = chunk
        return data_event(chunk)

    def closing(self, answer: Answer) -> bytes:
        """The usage, if it was asked for, and the mark of the end."""
        if isinstance(self.request, EmbeddingRequest):
            return DONE
        options = self.request.stream_options
        if options is None or not options.include_usage:
            return DONE
        head = {name: value for name, value in self._head.items() if name not in NOT_IN_USAGE_CHUNK}
        return data_event({**head, "choices": [], "usage": answer.body["usage"]}) + DONE

    def broken_off(self, error: DomainError) -> bytes:
        """The error; nothing marks the end then."""
        return data_event(error_body(error))

    def writes(self, answer: Answer) -> tuple[Write, ...]:
        """Nothing is kept."""
        return ()


class EmbeddingView(CompletionView[EmbeddingRequest]):
    """Embeddings, in the encoding that was asked for whichever the model's server prefers."""

    __slots__ = ()

    def whole(self, answer: Answer) -> bytes:
        """The body of the answer."""
        for item in answer.body["data"]:
            item["embedding"] = encoded_embedding(item["embedding"], self.request.encoding_format)
        return encode(answer.body)


def encoded_embedding(embedding: list[float] | str, wanted: str) -> list[float] | str:
    """An embedding as numbers (`float`) or as base64 of little-endian 32-bit floats (`base64`)."""
    if wanted == "base64" and not isinstance(embedding, str):
        return base64.b64encode(struct.pack(f"<{len(embedding)}f", *embedding)).decode()
    if wanted == "float" and isinstance(embedding, str):
        packed = base64.b64decode(embedding)
        return list(struct.unpack(f"<{len(packed) // FLOAT_BYTES}f", packed))
    return embedding


def data_event(value: object) -> bytes:
    """A server-sent event that carries a JSON value."""
    return b"data: " + encode(value) + b"\n\n"
