"""The published surfaces, each made of the services that it needs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from cloudyard.foundation.limiting import LimitStore
from cloudyard.surfaces import aihub, neurogrid, openai, pynode
from cloudyard.web.errors import ErrorRenderer
from cloudyard.web.health import Readiness
from cloudyard.web.policy import SurfacePolicy
from cloudyard.wiring import Services

POLICIES: Sequence[SurfacePolicy] = (openai.POLICY, neurogrid.POLICY, pynode.POLICY, aihub.POLICY)
CLASSIC_PORTS = {policy.classic_port: policy.name for policy in POLICIES if policy.classic_port is not None}


@dataclass(frozen=True, slots=True)
class Surface:
    """A surface's app, still without its gate. `documents` is where people read about it, below its prefix."""

    policy: SurfacePolicy
    renderer: ErrorRenderer
    app: ASGIApp
    openapi: Callable[[], dict[str, Any]]
    description: str
    documents: str


def limits_of(services: Services) -> LimitStore | None:
    """Where limits are counted; None where the settings switch them off."""
    return services.limits if services.settings.limits.enabled else None


def build_surfaces(services: Services, ready: Readiness, uptime: Callable[[], float]) -> list[Surface]:
    """Every published surface."""
    return [_openai(services), _neurogrid(services), _pynode(services, ready, uptime), _aihub(services)]


def _openai(services: Services) -> Surface:
    app = openai.create_app(
        openai.OpenAIServices(
            catalogue=services.catalogue,
            generation=services.generation,
            conversations=services.conversations,
            files=services.files,
            idempotency=services.idempotency,
            limits=limits_of(services),
            metrics=services.metrics,
            clock=services.clock,
            ids=services.ids,
        )
    )
    about = "OpenAI's API: every OpenAI client works."
    return Surface(openai.POLICY, openai.OpenAIErrors(), app, app.openapi, about, "/docs")


def _neurogrid(services: Services) -> Surface:
    app = neurogrid.create_app(
        neurogrid.NeurogridServices(
            users=services.users,
            sessions=services.sessions,
            api_keys=services.api_keys,
            billing=services.billing,
            ledger=services.ledger,
            credit_rate=services.credit_rate,
            idempotency=services.idempotency,
            clock=services.clock,
        )
    )
    about = "Accounts, API keys and the wallet of a network of contributed nodes."
    renderer = neurogrid.NeurogridErrors(services.clock)
    return Surface(neurogrid.POLICY, renderer, app, app.openapi, about, neurogrid.DOCUMENTS.page)


def _pynode(services: Services, ready: Readiness, uptime: Callable[[], float]) -> Surface:
    app = pynode.create_app(
        pynode.PynodeServices(
            users=services.users,
            sessions=services.sessions,
            billing=services.billing,
            files=services.files,
            catalogue=services.catalogue,
            generation=services.generation,
            conversations=services.conversations,
            idempotency=services.idempotency,
            limits=limits_of(services),
            metrics=services.metrics,
            clock=services.clock,
            health=ready.ask,
            uptime=uptime,
        )
    )
    about = "Chat with history, files and health, over HTTP and WebSocket."
    return Surface(pynode.POLICY, pynode.PynodeErrors(), app, app.openapi, about, "/docs")


def _aihub(services: Services) -> Surface:
    app = aihub.create_app(
        aihub.AihubServices(
            users=services.users,
            sessions=services.sessions,
            recovery=services.recovery,
            federation=services.federation,
            public_url=services.settings.server.public_url,
            billing=services.billing,
            prices=services.prices,
            catalogue=services.catalogue,
            generation=services.generation,
            ledger=services.ledger,
            payments=services.payments,
            refunds=services.refunds,
            delegations=services.delegations,
            notifications=services.notifications,
            push_subscriptions=services.push_subscriptions,
            live=services.live,
            webhooks=services.webhooks,
            credit_rate=services.credit_rate,
            idempotency=services.idempotency,
            limits=limits_of(services),
            metrics=services.metrics,
            administration=services.administration,
            traffic=services.traffic,
            clock=services.clock,
        )
    )
    about = "Accounts, chat, credits, notifications, webhooks and their administration."
    renderer = aihub.AihubErrors(services.clock)
    return Surface(aihub.POLICY, renderer, app, app.openapi, about, aihub.DOCUMENTS.page)
