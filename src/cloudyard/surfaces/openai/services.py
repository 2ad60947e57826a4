"""What the surface needs of the core."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from cloudyard.domains.files import Files
from cloudyard.domains.inference import Catalogue, Conversations, Generation
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.durable import IdempotencyKeys
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.limiting import LimitStore
from cloudyard.foundation.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class OpenAIServices:
    """What the surface needs of the core. `limits` is None where nothing is limited."""

    catalogue: Catalogue
    generation: Generation
    conversations: Conversations
    files: Files
    idempotency: IdempotencyKeys
    limits: LimitStore | None
    metrics: Metrics
    clock: Clock
    ids: Ids


def services(request: Request) -> OpenAIServices:
    """The services of the app that serves a request."""
    found: OpenAIServices = request.app.state.services
    return found


Core = Annotated[OpenAIServices, Depends(services)]
