"""What the surface needs of the core."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from cloudyard.domains.billing import Billing
from cloudyard.domains.files import Files
from cloudyard.domains.identity import Sessions, Users
from cloudyard.domains.inference import Catalogue, Conversations, Generation
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.durable import IdempotencyKeys
from cloudyard.foundation.limiting import LimitStore
from cloudyard.foundation.telemetry import Metrics
from cloudyard.web.health import Finding


@dataclass(frozen=True, slots=True)
class PynodeServices:
    """What the surface needs of the core.

    `limits` is None where nothing is limited. `health` asks every dependency; its finding `limits` is the document's
    `redis`, `database` and `storage` are called alike. `uptime` is in seconds.
    """

    users: Users
    sessions: Sessions
    billing: Billing
    files: Files
    catalogue: Catalogue
    generation: Generation
    conversations: Conversations
    idempotency: IdempotencyKeys
    limits: LimitStore | None
    metrics: Metrics
    clock: Clock
    health: Callable[[], Awaitable[Sequence[Finding]]]
    uptime: Callable[[], float]


def services(connection: HTTPConnection) -> PynodeServices:
    """The services of the app that serves a request."""
    found: PynodeServices = connection.app.state.services
    return found


Core = Annotated[PynodeServices, Depends(services)]
