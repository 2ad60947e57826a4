"""What the front door tells."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from cloudyard.domains.identity import Recovery
from cloudyard.web.health import Finding


@dataclass(frozen=True, slots=True)
class SurfaceLine:
    """A surface as the page lists it. `documents` is a path on this server, None where its clients ask for no
    documents; `description` is a line for people."""

    title: str
    prefix: str
    documents: str | None
    description: str


@dataclass(frozen=True, slots=True)
class ModelLine:
    """A model as the page lists it. `state` is what it is doing; prices are dollars for a million tokens."""

    name: str
    kind: str
    state: str
    input_usd: str
    output_usd: str


@dataclass(frozen=True, slots=True)
class Front:
    """Everything that the front door needs. `uptime` is in seconds; `register_path` opens an account."""

    version: str
    profile: str
    surfaces: Sequence[SurfaceLine]
    health: Callable[[], Awaitable[Sequence[Finding]]]
    models: Callable[[], Sequence[ModelLine]]
    uptime: Callable[[], float]
    default_model: str
    recovery: Recovery
    receive_payment_event: Callable[[bytes, str | None], Awaitable[None]]
    register_path: str = "/pynode/api/auth/register"
