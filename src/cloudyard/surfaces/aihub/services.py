"""What the Smart AI Hub surface needs, and how its routes get it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from cloudyard.domains.administration import Administration
from cloudyard.domains.billing import Billing, PriceBook
from cloudyard.domains.identity import Delegations, Federation, Recovery, Sessions, Users
from cloudyard.domains.inference import Catalogue, Generation
from cloudyard.domains.ledger import Ledger
from cloudyard.domains.live import LiveFeed
from cloudyard.domains.notifications import Notifications, PushSubscriptions
from cloudyard.domains.payments import Payments, Refunds
from cloudyard.domains.webhooks import Webhooks
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.durable import IdempotencyKeys
from cloudyard.foundation.limiting import LimitStore
from cloudyard.foundation.money import CreditRate
from cloudyard.foundation.telemetry import Metrics, Traffic


@dataclass(frozen=True, slots=True)
class AihubServices:
    """The services behind the surface. `limits` is None where nothing is limited.

    `public_url` is where users reach the installation, None where each request tells.
    """

    users: Users
    sessions: Sessions
    recovery: Recovery
    federation: Federation
    public_url: str | None
    delegations: Delegations
    billing: Billing
    prices: PriceBook
    catalogue: Catalogue
    generation: Generation
    ledger: Ledger
    payments: Payments
    refunds: Refunds
    notifications: Notifications
    push_subscriptions: PushSubscriptions
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
