"""Health, readiness and metrics (pynode.md, Health & Status)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from fastapi import APIRouter, Request, Response

from cloudyard.surfaces.pynode.policy import HEALTH_PATH, METRICS_PATH, POLICY, READY_PATH
from cloudyard.surfaces.pynode.schemas import Health, Ready
from cloudyard.surfaces.pynode.services import Core
from cloudyard.web.health import Finding, State, may_see_details, overall

# The document's name of what the core calls otherwise.
NAMES = {"limits": "redis"}
CONNECTION: Mapping[State, Literal["connected", "degraded", "disconnected"]] = MappingProxyType(
    {State.WELL: "connected", State.DEGRADED: "degraded", State.UNAVAILABLE: "disconnected"}
)
UNREADY = 503
UNREADY_ANSWER: dict[int | str, dict[str, Any]] = {UNREADY: {"model": Ready, "description": "Something is missing."}}
TEXT: dict[int | str, dict[str, Any]] = {200: {"description": "Prometheus text.", "content": {"text/plain": {}}}}

router = APIRouter(tags=["Health & Status"])


@router.get(HEALTH_PATH)
async def health(core: Core) -> Health:
    """Whether the process answers."""
    return Health(status="healthy", timestamp=core.clock.now(), version=POLICY.version, uptime=int(core.uptime()))


@router.get(READY_PATH, responses=UNREADY_ANSWER)
async def ready(request: Request, response: Response, core: Core) -> Ready:
    """Whether everything behind the process answers; each part is asked."""
    found = _readiness(await core.health(), details=may_see_details(request.scope))
    if found.status != "ready":
        response.status_code = UNREADY
    return found


@router.get(METRICS_PATH, responses=TEXT, response_class=Response)
async def metrics(request: Request, core: Core) -> Response:
    """Metrics for Prometheus."""
    body, content_type = core.metrics.render(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})


def _readiness(findings: Sequence[Finding], *, details: bool) -> Ready:
    named = {NAMES.get(finding.name, finding.name): finding for finding in findings}
    return Ready(
        status="not_ready" if overall(findings) is State.UNAVAILABLE else "ready",
        services={name: CONNECTION[finding.state] for name, finding in named.items()},
        backends={name: finding.backend for name, finding in named.items()},
        problems={name: finding.shown(details=details) for name, finding in named.items() if not finding.ok},
    )
