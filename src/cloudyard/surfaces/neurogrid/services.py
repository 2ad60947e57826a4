"""What the NeuroGrid surface needs, and how its routes get it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from cloudyard.domains.billing import Billing
from cloudyard.domains.identity import ApiKeys, Sessions, Users
from cloudyard.domains.ledger import Ledger
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.durable import IdempotencyKeys
from cloudyard.foundation.money import CreditRate


@dataclass(frozen=True, slots=True)
class NeurogridServices:
    """The services behind the surface."""

    users: Users
    sessions: Sessions
    api_keys: ApiKeys
    billing: Billing
    ledger: Ledger
    credit_rate: CreditRate
    idempotency: IdempotencyKeys
    clock: Clock


def services_of(request: Request) -> NeurogridServices:
    """FastAPI dependency: the services that the app was made with."""
    services: NeurogridServices = request.app.state.services
    return services


Services = Annotated[NeurogridServices, Depends(services_of)]
