"""The shapes of MCP Endpoints: models, and what is asked of them and answered."""

from typing import Annotated, Literal

from pydantic import Field

from cloudyard.surfaces.aihub.schemas import Number, Part, RequestBody

MOST_MESSAGES = 2048

ModelName = Annotated[str, Field(min_length=1, max_length=128, examples=["gpt-4"])]


class PricingView(Part):
    """Dollars for one token."""

    input_tokens: Number
    output_tokens: Number


class ModelView(Part):
    """A model under one of its names; `name` is the model that answers to `id`."""

    id: str
    name: str
    provider: str
    description: str
    pricing: PricingView
    capabilities: list[str]


class ChatMessage(RequestBody):
    """One message of a conversation."""

    role: Annotated[Literal["system", "user", "assistant"], Field(examples=["user"])]
    content: Annotated[str, Field(examples=["Hello, how are you?"])]


class ChatCompletionBody(RequestBody):
    """A conversation that a model is to go on with."""

    model: ModelName
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MOST_MESSAGES)]
    max_tokens: Annotated[int | None, Field(ge=1, examples=[1000])] = None
    temperature: Annotated[float | None, Field(ge=0, le=2, examples=[0.7])] = None
    stream: bool = False


class AnswerMessage(Part):
    """What the model said."""

    role: Literal["assistant"] = "assistant"
    content: str


class ChoiceView(Part):
    """An answer, and why it ended."""

    index: int
    message: AnswerMessage
    finish_reason: str | None


class UsageView(Part):
    """Tokens of a call."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletionView(Part):
    """A whole completion; `cost` is what it took, in dollars."""

    id: str
    model: str
    choices: list[ChoiceView]
    usage: UsageView
    cost: Number


class Delta(Part):
    """What an event adds to an answer."""

    role: str | None = None
    content: str | None = None


class ChunkChoice(Part):
    """An answer, as far as an event takes it."""

    index: int
    delta: Delta
    finish_reason: str | None = None


class ChatCompletionChunk(Part):
    """An event of a streamed completion; the last one before `[DONE]` has no choices, but usage and cost."""

    id: str
    model: str
    choices: list[ChunkChoice]
    usage: UsageView | None = None
    cost: Number | None = None
