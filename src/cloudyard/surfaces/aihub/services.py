"""What the Smart AI Hub surface needs, and how its routes get it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from cloudyard.domains.administration import Administration
from cloudyard.domains.billing import Billing, PriceBook
from cloudyard.domains.identity import Recovery, Sessions, Users
from cloudyard.domains.inference import Catalogue, Generation
from cloudyard.domains.ledger import Ledger
from cloudyard.domains.live import LiveFeed
from cloudyard.domains.notifications import Notifications
from cloudyard.domains.payments import Payments
from cloudyard.domains.webhooks import Webhooks
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.durable import IdempotencyKeys
from cloudyard.foundation.limiting import LimitStore
from cloudyard.foundation.money import CreditRate
from cloudyard.foundation.telemetry import Metrics, Traffic


@dataclass(frozen=True, slots=True)
class AihubServices:
    """The services behind the surface. `limits` is None where nothing is limited."""

    users: Users
    sessions: Sessions
    recovery: Recovery
    billing: Billing
    prices: PriceBook
    catalogue: Catalogue
    generation: Generation
    ledger: Ledger
    payments: Payments
    notifications: Notifications
    live: LiveFeed
    webhooks: Webhooks
    credit_rate: CreditRate
    idempotency: IdempotencyKeys
    limits: LimitStore | None
    metrics: Metrics
    administration: Administration
    traffic: Traffic
    clock: Clock


def services_of(request: Request) -> AihubServices:
    """FastAPI dependency: the services that the app was made with."""
    services: AihubServices = request.app.state.services
    return services


Services = Annotated[AihubServices, Depends(services_of)]
