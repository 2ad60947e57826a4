"""Health, readiness and metrics (pynode.md, Health & Status)."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from cloudyard.surfaces.pynode.policy import HEALTH_PATH, METRICS_PATH, POLICY, READY_PATH
from cloudyard.surfaces.pynode.schemas import Health, Ready
from cloudyard.surfaces.pynode.services import Core
from cloudyard.web.health import Finding

# The document's name of what the core calls otherwise.
NAMES = {"limits": "redis"}
UNREADY = 503
UNREADY_ANSWER: dict[int | str, dict[str, Any]] = {UNREADY: {"model": Ready, "description": "Something is missing."}}
TEXT: dict[int | str, dict[str, Any]] = {200: {"description": "Prometheus text.", "content": {"text/plain": {}}}}

router = APIRouter(tags=["Health & Status"])


@router.get(HEALTH_PATH)
async def health(core: Core) -> Health:
    """Whether the process answers."""
    return Health(status="healthy", timestamp=core.clock.now(), version=POLICY.version, uptime=int(core.uptime()))


@router.get(READY_PATH, responses=UNREADY_ANSWER)
async def ready(response: Response, core: Core) -> Ready:
    """Whether everything behind the process answers; each part is asked."""
    found = _readiness(await core.health())
    if found.status != "ready":
        response.status_code = UNREADY
    return found


@router.get(METRICS_PATH, responses=TEXT, response_class=Response)
async def metrics(request: Request, core: Core) -> Response:
    """Metrics for Prometheus."""
    body, content_type = core.metrics.render(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})


def _readiness(findings: Sequence[Finding]) -> Ready:
    named = {NAMES.get(finding.name, finding.name): finding for finding in findings}
    return Ready(
        status="ready" if all(finding.ok for finding in findings) else "not_ready",
        services={name: "connected" if finding.ok else "disconnected" for name, finding in named.items()},
        backends={name: finding.backend for name, finding in named.items()},
        problems={name: finding.problem for name, finding in named.items() if finding.problem is not None},
    )
