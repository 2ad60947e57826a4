"""One surface behind its gate, mounted under its prefix, over the services of an installation."""

from starlette.types import ASGIApp

from cloudyard.web.errors import ErrorRenderer
from cloudyard.web.gate import Gate, GateParts
from cloudyard.web.mount import Mount, SurfaceRouter
from cloudyard.web.policy import SurfacePolicy
from cloudyard.web.proxies import TrustedProxies
from cloudyard.wiring import Services


def guarded(services: Services, app: ASGIApp, policy: SurfacePolicy, renderer: ErrorRenderer) -> SurfaceRouter:
    """The surface as it is served."""
    settings = services.settings
    parts = GateParts(
        sessions=services.sessions,
        limits=services.limits if settings.limits.enabled else None,
        clock=services.clock,
        ids=services.ids,
        metrics=services.metrics,
        tracing=services.tracing,
        proxies=TrustedProxies(settings.server.trusted_proxies),
        cors_origins=settings.cors_origins,
        max_body_bytes=settings.server.max_body_bytes,
    )
    return SurfaceRouter([Mount(policy.name, policy.prefix, Gate(app, policy, renderer, parts))], services.ids)
