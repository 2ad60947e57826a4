"""What the Smart AI Hub surface needs, and how its routes get it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from cloudyard.domains.billing import Billing
from cloudyard.domains.identity import Sessions, Users
from cloudyard.domains.ledger import Ledger
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.durable import IdempotencyKeys
from cloudyard.foundation.money import CreditRate


@dataclass(frozen=True, slots=True)
class AihubServices:
    """The services behind the surface."""

    users: Users
    sessions: Sessions
    billing: Billing
    ledger: Ledger
    credit_rate: CreditRate
    idempotency: IdempotencyKeys
    clock: Clock


def services_of(request: Request) -> AihubServices:
    """FastAPI dependency: the services that the app was made with."""
    services: AihubServices = request.app.state.services
    return services


Services = Annotated[AihubServices, Depends(services_of)]
