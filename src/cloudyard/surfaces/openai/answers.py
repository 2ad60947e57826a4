"""What inference answers, described for the OpenAPI document.

The answers themselves are passed on as the model's server gave them (with usage, cost and the requested name set),
so these shapes are read by `documents.py` alone.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class Usage(Struct):
    """Tokens of a call, and its price in dollars."""

    prompt_tokens: int
    total_tokens: int
    cost: float
    completion_tokens: int | UnsetType = UNSET
    prompt_tokens_details: dict[str, Any] | UnsetType | None = UNSET
    completion_tokens_details: dict[str, Any] | UnsetType | None = UNSET


class AnsweredFunction(Struct):
    """A function that the model wants called; `arguments` is JSON."""

    name: str
    arguments: str


class AnsweredToolCall(Struct):
    """A call that the model asks for."""

    id: str
    function: AnsweredFunction
    type: Literal["function"] = "function"


class AnsweredMessage(Struct):
    """What the model said."""

    role: Literal["assistant"]
    content: str | None = None
    tool_calls: list[AnsweredToolCall] | UnsetType = UNSET


class ChatChoice(Struct):
    """One of the answers."""

    index: int
    message: AnsweredMessage
    finish_reason: FinishReason | None = None
    logprobs: dict[str, Any] | None = None


class ChatCompletion(Struct):
    """A whole chat completion."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    system_fingerprint: str | None = None


class ChatDelta(Struct):
    """What a chunk adds."""

    role: str | None = None
    content: str | None = None
    tool_calls: list[dict[str, Any]] | UnsetType = UNSET


class ChatChunkChoice(Struct):
    """One of the answers, as far as a chunk takes it."""

    index: int
    delta: ChatDelta
    finish_reason: FinishReason | None = None
    logprobs: dict[str, Any] | None = None


class ChatCompletionChunk(Struct):
    """An event of a streamed chat completion. The last one has the usage, if it was asked for."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: Usage | None = None


class TextChoice(Struct):
    """One of the answers."""

    index: int
    text: str
    finish_reason: Literal["stop", "length", "content_filter"] | None = None
    logprobs: dict[str, Any] | None = None


class TextCompletion(Struct):
    """A whole text completion, or an event of a streamed one."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage | None = None


class EmbeddingObject(Struct):
    """The embedding of one input: numbers, or base64 of 32-bit little-endian floats."""

    index: int
    embedding: list[float] | str
    object: Literal["embedding"]


class EmbeddingList(Struct):
    """Embeddings, in the order of the inputs."""

    object: Literal["list"]
    model: str
    data: list[EmbeddingObject]
    usage: Usage


class OutputText(Struct):
    """Text of the model."""

    text: str
    type: Literal["output_text"] = "output_text"
    annotations: list[Any] = []
    logprobs: list[Any] = []


class OutputMessage(Struct, tag_field="type", tag="message"):
    """What the model said."""

    id: str
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[OutputText]
    role: Literal["assistant"] = "assistant"


class OutputFunctionCall(Struct, tag_field="type", tag="function_call"):
    """A call that the model asks for."""

    id: str
    call_id: str
    name: str
    arguments: str
    status: Literal["in_progress", "completed", "incomplete"]


class ResponseUsage(Struct):
    """Tokens of a response, and its price in dollars."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int
    cost: float


class ResponseFault(Struct):
    """Why a response failed."""

    code: str
    message: str


class ResponseObject(Struct):
    """A response."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    model: str
    output: list[OutputMessage | OutputFunctionCall]
    parallel_tool_calls: bool
    tool_choice: Any
    tools: list[Any]
    store: bool
    text: dict[str, Any]
    metadata: dict[str, str]
    usage: ResponseUsage | None = None
    error: ResponseFault | None = None
    incomplete_details: dict[str, str] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None


class ResponseEvent(Struct):
    """An event of a streamed response; the other fields depend on its type."""

    type: str
    sequence_number: int
