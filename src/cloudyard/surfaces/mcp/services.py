"""What the MCP surface needs."""

import asyncio
from dataclasses import dataclass

from cloudyard.domains.files import Files
from cloudyard.domains.inference import Catalogue, Conversations, Generation
from cloudyard.domains.ledger import Ledger
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.durable import IdempotencyKeys
from cloudyard.foundation.limiting import LimitStore
from cloudyard.foundation.money import CreditRate
from cloudyard.foundation.telemetry import Metrics
from cloudyard.web.authentication import CredentialCheck
from cloudyard.web.public_url import PublicUrl


@dataclass(frozen=True, slots=True)
class McpServices:
    """The services behind the surface. `origins` may use it from a browser; `limits` is None where nothing is.

    `credentials` tells whose a credential is, as the gate in front of the surface does; `ending` is set when the
    server was asked to stop.
    """

    catalogue: Catalogue
    generation: Generation
    conversations: Conversations
    ledger: Ledger
    files: Files
    idempotency: IdempotencyKeys
    credit_rate: CreditRate
    limits: LimitStore | None
    credentials: CredentialCheck
    clock: Clock
    metrics: Metrics
    version: str
    public_url: PublicUrl
    ending: asyncio.Event
    origins: tuple[str, ...] = ()
