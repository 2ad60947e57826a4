"""All surfaces as one ASGI application."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from cloudyard import __version__
from cloudyard.domains.billing import Meter, Price, PriceMissing
from cloudyard.domains.inference import Model, WorkerState
from cloudyard.entrypoints.readiness import readiness
from cloudyard.entrypoints.surfaces import CLASSIC_PORTS, Surface, build_surfaces, limits_of
from cloudyard.foundation.money import usd_from_nanos
from cloudyard.surfaces import front, mcp, oauth
from cloudyard.web.errors import ProblemRenderer
from cloudyard.web.gate import Gate, GateParts
from cloudyard.web.health import Readiness
from cloudyard.web.mount import Mount, SurfaceRouter
from cloudyard.web.proxies import TrustedProxies
from cloudyard.web.public_url import PublicUrl
from cloudyard.wiring import Services

MILLION = 1_000_000


def build_application(services: Services) -> SurfaceRouter:
    """The whole server's application: the surfaces behind their gates, and the front door."""
    ready = readiness(services)
    started = services.clock.monotonic()

    def uptime() -> float:
        return services.clock.monotonic() - started

    surfaces = build_surfaces(services, ready, uptime)
    parts = _gate_parts(services)
    mounts = [Mount(s.policy.name, s.policy.prefix, Gate(s.app, s.policy, s.renderer, parts)) for s in surfaces]
    known = mcp.McpCredentials(services.sessions, services.delegations)
    tools = _mcp(services, known)
    guard = Gate(tools, mcp.POLICY, ProblemRenderer(), replace(parts, sessions=known))
    mounts.append(Mount(mcp.POLICY.name, mcp.POLICY.prefix, guard))
    mounts.extend(_authorization_server(services, parts))
    door = front.create_app(_front(services, ready, uptime, surfaces))
    return SurfaceRouter(
        mounts,
        services.ids,
        front=Gate(door, front.POLICY, ProblemRenderer(), parts),
        front_paths=front.PATHS,
        hosts=services.settings.server.hosts,
        ports=CLASSIC_PORTS if services.settings.server.classic_ports else None,
        lifespan=lambda _app: tools.running(),
    )


def _mcp(services: Services, credentials: mcp.McpCredentials) -> mcp.McpApp:
    return mcp.McpApp(
        mcp.McpServices(
            catalogue=services.catalogue,
            generation=services.generation,
            conversations=services.conversations,
            ledger=services.ledger,
            files=services.files,
            idempotency=services.idempotency,
            credit_rate=services.credit_rate,
            limits=limits_of(services),
            credentials=credentials,
            clock=services.clock,
            metrics=services.metrics,
            version=__version__,
            ending=services.ending,
            public_url=PublicUrl(services.settings.server.public_url),
            origins=services.settings.cors_origins,
        )
    )


def _authorization_server(services: Services, parts: GateParts) -> Sequence[Mount]:
    """Its endpoints and its metadata. Any page may use them: they know no cookie, and nothing they answer is secret to
    whoever could ask."""
    own = oauth.OAuthServices(
        sessions=services.sessions,
        clients=services.oauth_clients,
        delegations=services.delegations,
        public_url=PublicUrl(services.settings.server.public_url),
        resource_path=mcp.POLICY.prefix,
        registration=services.settings.oauth.registration,
    )
    open_to_all = replace(parts, cors_origins=("*",), max_body_bytes=oauth.MOST_BODY_BYTES)
    apps = ((oauth.POLICY, oauth.create_app(own)), (oauth.WELL_KNOWN_POLICY, oauth.create_metadata_app(own)))
    return [Mount(p.name, p.prefix, Gate(app, p, oauth.OAuthErrors(), open_to_all)) for p, app in apps]


def _gate_parts(services: Services) -> GateParts:
    server = services.settings.server
    return GateParts(
        sessions=services.sessions,
        limits=limits_of(services),
        clock=services.clock,
        ids=services.ids,
        metrics=services.metrics,
        tracing=services.tracing,
        proxies=TrustedProxies(server.trusted_proxies),
        cors_origins=services.settings.cors_origins,
        max_body_bytes=server.max_body_bytes,
        access_log=services.settings.telemetry.access_log,
    )


def _front(
    services: Services, ready: Readiness, uptime: Callable[[], float], surfaces: Sequence[Surface]
) -> front.Front:
    lines = [
        front.SurfaceLine(s.policy.title, s.policy.prefix, s.policy.prefix + s.documents, s.description)
        for s in surfaces
    ]
    lines.append(front.SurfaceLine(mcp.POLICY.title, mcp.POLICY.prefix, None, mcp.ABOUT_FOR_PEOPLE))
    return front.Front(
        version=__version__,
        profile=services.settings.profile.value,
        surfaces=lines,
        health=ready.ask,
        models=lambda: [_model_line(services, model) for model in services.catalogue.models()],
        uptime=uptime,
        default_model=services.catalogue.default_chat_model(),
        recovery=services.recovery,
        receive_payment_event=services.payments.receive,
    )


def _model_line(services: Services, model: Model) -> front.ModelLine:
    try:
        price: Price | None = services.prices.current(model.sku)
    except PriceMissing:
        price = None
    return front.ModelLine(
        name=model.name,
        kind=model.kind.value,
        state=_state(services, model),
        input_usd=_for_a_million(price, Meter.INPUT_TOKEN),
        output_usd=_for_a_million(price, Meter.OUTPUT_TOKEN),
    )


def _state(services: Services, model: Model) -> str:
    names = {deployment.local.name for deployment in model.deployments if deployment.local}
    workers = [status.state for status in services.local_models.statuses() if status.name in names]
    if workers:
        return workers[0].value
    if names:
        return WorkerState.STOPPED.value
    return "upstream" if any(health.healthy for health in services.router.health(model)) else "unreachable"


def _for_a_million(price: Price | None, meter: Meter) -> str:
    line = price.line(meter) if price else None
    return f"{usd_from_nanos(line.nanos * MILLION // line.per).normalize():f}" if line else "-"
