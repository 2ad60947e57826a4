"""Models and what they answer: catalogue, routing, charged generation, conversations."""

from cloudyard.domains.inference.catalogue import Catalogue
from cloudyard.domains.inference.conversations import Conversations
from cloudyard.domains.inference.errors import (
    ContextTooLong,
    ConversationNotFound,
    InvalidRequest,
    LocalModelUnavailable,
    ModelBusy,
    ModelNotFound,
    ProviderRefused,
    ProviderUnavailable,
)
from cloudyard.domains.inference.generation import Generation
from cloudyard.domains.inference.observation import Observer
from cloudyard.domains.inference.ports import (
    Endpoint,
    LocalModel,
    LocalModels,
    Provider,
    WorkerState,
    WorkerStatus,
)
from cloudyard.domains.inference.pricing import check_model_prices
from cloudyard.domains.inference.records import (
    Answer,
    CallContext,
    Deployment,
    Model,
    ModelKind,
    StoredResponse,
    TokenUsage,
    Turn,
    UpstreamKey,
)
from cloudyard.domains.inference.requests import ChatRequest, CompletionRequest, EmbeddingRequest, Message
from cloudyard.domains.inference.routing import Router
from cloudyard.domains.inference.streaming import ChunkStream

__all__ = [
    "Answer",
    "CallContext",
    "Catalogue",
    "ChatRequest",
    "ChunkStream",
    "CompletionRequest",
    "ContextTooLong",
    "ConversationNotFound",
    "Conversations",
    "Deployment",
    "EmbeddingRequest",
    "Endpoint",
    "Generation",
    "InvalidRequest",
    "LocalModel",
    "LocalModelUnavailable",
    "LocalModels",
    "Message",
    "Model",
    "ModelBusy",
    "ModelKind",
    "ModelNotFound",
    "Observer",
    "Provider",
    "ProviderRefused",
    "ProviderUnavailable",
    "Router",
    "StoredResponse",
    "TokenUsage",
    "Turn",
    "UpstreamKey",
    "WorkerState",
    "WorkerStatus",
    "check_model_prices",
]
