"""Requests for inference, in the field's common form (OpenAI API reference, chat, completions, embeddings).

An absent field and null are the same. Fields that are not listed are dropped: a caller cannot reach a runtime's
private switches.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=128)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
TokenCount = Annotated[int, Meta(ge=1)]
Choices = Annotated[int, Meta(ge=1, le=16)]
StopText = Annotated[str, Meta(min_length=1, max_length=256)]
Stop = StopText | Annotated[list[StopText], Meta(max_length=4)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class TextPart(Struct, frozen=True, tag="text"):
    """A piece of text in a message."""

    text: str


class ToolFunctionCall(Struct, frozen=True):
    """The function of a tool call."""

    name: Name
    arguments: str


class ToolCall(Struct, frozen=True):
    """A call that the model asked for."""

    id: str
    function: ToolFunctionCall
    type: Literal["function"] = "function"


class Message(Struct, frozen=True, omit_defaults=True):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None

    @property
    def everything(self) -> str:
        """All that a model reads of it: its text, names, ids and tool calls."""
        calls = [
            piece for call in self.tool_calls or () for piece in (call.id, call.function.name, call.function.arguments)
        ]
        return (
            "\n".join([self.text, self.name or "", self.tool_call_id or "", *calls]) if self._has_more() else self.text
        )

    def _has_more(self) -> bool:
        return self.tool_calls is not None or self.name is not None or self.tool_call_id is not None

    @property
    def text(self) -> str:
        """All its text."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(Struct, frozen=True):
    """What a stream carries besides text."""

    include_usage: bool = False


class ChatRequest(Struct, frozen=True, omit_defaults=True):
    """A chat completion."""

    model: Name
    messages: Annotated[list[Message], Meta(min_length=1, max_length=2048)]
    max_tokens: TokenCount | None = None
    max_completion_tokens: TokenCount | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    n: Choices | None = None
    stop: Stop | None = None
    seed: Seed | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    response_format: dict[str, Any] | None = None
    tools: Annotated[list[dict[str, Any]], Meta(max_length=128)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None


class CompletionRequest(Struct, frozen=True, omit_defaults=True):
    """A text completion (the older form)."""

    model: Name
    prompt: str | Annotated[list[str], Meta(min_length=1, max_length=16)]
    echo: bool | None = None
    max_tokens: TokenCount | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    n: Choices | None = None
    stop: Stop | None = None
    seed: Seed | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None


Text = Annotated[str, Meta(min_length=1)]


class EmbeddingRequest(Struct, frozen=True, omit_defaults=True):
    """Embeddings of one or more texts."""

    model: Name
    input: Text | Annotated[list[Text], Meta(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: TokenCount | None = None
    user: str | None = None

    @property
    def texts(self) -> list[str]:
        """The inputs as a list."""
        return [self.input] if isinstance(self.input, str) else self.input
