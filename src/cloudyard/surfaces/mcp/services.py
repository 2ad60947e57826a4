"""What the MCP surface needs."""

from dataclasses import dataclass

from cloudyard.domains.inference import Catalogue, Conversations, Generation
from cloudyard.domains.ledger import Ledger
from cloudyard.foundation.limiting import LimitStore
from cloudyard.foundation.money import CreditRate
from cloudyard.foundation.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class McpServices:
    """The services behind the surface. `origins` may use it from a browser; `limits` is None where nothing is."""

    catalogue: Catalogue
    generation: Generation
    conversations: Conversations
    ledger: Ledger
    credit_rate: CreditRate
    limits: LimitStore | None
    metrics: Metrics
    version: str
    origins: tuple[str, ...] = ()
