"""Models and chat completions (document, MCP Endpoints)."""

from decimal import Decimal
from typing import TypedDict

from pydantic import Field

from smartaihub.types.base import Record


class ChatMessage(TypedDict):
    """A message of a conversation; `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


class Pricing(Record):
    """Dollars for one token."""

    input_tokens: Decimal
    output_tokens: Decimal


class Model(Record):
    """A model under one of its names."""

    id: str
    name: str
    provider: str
    description: str
    pricing: Pricing
    capabilities: list[str]


class Answer(Record):
    """What the model said."""

    role: str
    content: str


class Choice(Record):
    """An answer, and why it ended: `stop`, or `length` when it reached `max_tokens`."""

    index: int
    message: Answer
    finish_reason: str | None = None


class Usage(Record):
    """Tokens of a call."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(Record):
    """A whole completion; `cost` is what it took, in dollars."""

    id: str
    model: str
    choices: list[Choice]
    usage: Usage
    cost: Decimal

    @property
    def text(self) -> str:
        """What the first answer says."""
        return self.choices[0].message.content if self.choices else ""


class Delta(Record):
    """What a chunk adds to an answer."""

    role: str | None = None
    content: str | None = None


class ChunkChoice(Record):
    """An answer, as far as a chunk takes it."""

    index: int
    delta: Delta
    finish_reason: str | None = None


class ChatChunk(Record):
    """A piece of a streamed completion. The last one has no choices, but usage and cost."""

    id: str
    model: str
    choices: list[ChunkChoice] = Field(default_factory=list)
    usage: Usage | None = None
    cost: Decimal | None = None

    @property
    def text(self) -> str:
        """What it adds to the first answer."""
        return "".join(choice.delta.content or "" for choice in self.choices if choice.index == 0)
