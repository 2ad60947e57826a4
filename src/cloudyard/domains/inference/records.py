"""What inference works with and gives out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from cloudyard.domains.billing import UsageOutcome
from cloudyard.domains.inference.ports import Endpoint, LocalModel

SKU_PREFIX = "model:"
"""Of the names that models have in the price book."""


class ModelKind(StrEnum):
    """What a model does."""

    CHAT = "chat"
    EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One thing that serves a model: `local` or `endpoint`. `timeout` is the longest silence, in seconds."""

    model: str
    name: str
    upstream_model: str
    weight: int
    max_concurrency: int
    timeout: float
    local: LocalModel | None = None
    endpoint: Endpoint | None = None
    tokenizer: LocalModel | None = None


@dataclass(frozen=True, slots=True)
class UpstreamKey:
    """Which key it is that a provider was given: of which deployment of which model. Never the key itself."""

    model: str
    deployment: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model in the catalogue."""

    name: str
    kind: ModelKind
    description: str
    provider: str
    context_length: int
    max_output_tokens: int
    capabilities: frozenset[str]
    max_queue: int
    deployments: tuple[Deployment, ...]
    created_at: datetime

    @property
    def sku(self) -> str:
        """Its name in the price book."""
        return SKU_PREFIX + self.name


@dataclass(frozen=True, slots=True)
class CallContext:
    """Where a call came from, for the usage record and the traces."""

    surface: str
    request_id: str


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of a call. `estimated` where neither the provider nor a tokenizer said how many."""

    prompt: int
    completion: int = 0
    estimated: bool = False

    @property
    def total(self) -> int:
        """Both together."""
        return self.prompt + self.completion


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as far as it went. `body` is in the field's common form and names the model as the caller did.

    `usage` is what was reported, which need not be so; `most_tokens` is what the call could use at worst.
    """

    body: Mapping[str, Any]
    served_by: str
    deployment: str
    usage: TokenUsage
    cost_nanos: int
    most_tokens: int
    outcome: UsageOutcome = UsageOutcome.COMPLETED

    @property
    def text(self) -> str:
        """Text of the first choice."""
        choice = self.body["choices"][0]
        text: str = choice.get("text") or choice.get("message", {}).get("content") or ""
        return text


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its answer in a user's chat history."""

    id: str
    user_id: str
    message: str
    response: str
    model: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response that a later request may continue. `messages` is the whole conversation up to its answer."""

    id: str
    user_id: str
    model: str
    messages: Sequence[Mapping[str, Any]]
    body: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime | None = None
