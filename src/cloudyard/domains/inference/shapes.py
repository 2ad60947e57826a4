"""What a provider's answers must look like to be metered and passed on. Whatever else is in them is the provider's."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from cloudyard.domains.inference.errors import ProviderUnavailable
from cloudyard.domains.inference.preparation import CHAT_PATH, COMPLETION_PATH, EMBEDDING_PATH


class _Function(Struct):
    name: str
    arguments: str


class _ToolCall(Struct):
    id: str
    function: _Function


class _Message(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _ChatChoice(Struct):
    message: _Message
    finish_reason: str | None = None


class _TextChoice(Struct):
    text: str
    index: int | None = None


class _Embedding(Struct):
    embedding: list[float] | str


class _ChatAnswer(Struct):
    choices: Annotated[list[_ChatChoice], Meta(min_length=1)]


class _TextAnswer(Struct):
    choices: Annotated[list[_TextChoice], Meta(min_length=1)]


class _EmbeddingAnswer(Struct):
    data: Annotated[list[_Embedding], Meta(min_length=1)]


class _FunctionPiece(Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCallPiece(Struct):
    index: int = 0
    id: str | None = None
    function: _FunctionPiece | None = None


class _Delta(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCallPiece] | None = None


class _Piece(Struct):
    index: int | None = None
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Chunk(Struct):
    choices: list[_Piece] | None = None


WHOLE: Mapping[str, type[Struct]] = MappingProxyType(
    {CHAT_PATH: _ChatAnswer, COMPLETION_PATH: _TextAnswer, EMBEDDING_PATH: _EmbeddingAnswer}
)


def whole_answer(path: str, data: bytes) -> dict[str, Any]:
    """A whole answer of the endpoint under `path`. Raises `ProviderUnavailable` for what is none."""
    answer = _object(data, "answer")
    _check(answer, WHOLE[path], "answer")
    return answer


def chunk_of_stream(data: bytes) -> dict[str, Any]:
    """A piece of a stream. Raises `ProviderUnavailable` for what is none, and for one that tells of a failure."""
    chunk = _object(data, "stream")
    failure = chunk.get("error")
    if failure:
        message = failure.get("message") if isinstance(failure, dict) else failure
        raise ProviderUnavailable("The provider broke off with an error of its own.", for_operators=str(message))
    _check(chunk, _Chunk, "stream")
    return chunk


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderUnavailable(f"The provider's {what} cannot be read: {error}.") from error
    if not isinstance(value, dict):
        raise ProviderUnavailable(f"The provider's {what} cannot be read: it is not an object.")
    return value


def _check(value: dict[str, Any], shape: type[Struct], what: str) -> None:
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise ProviderUnavailable(f"The provider's {what} cannot be used: {error}.") from error
