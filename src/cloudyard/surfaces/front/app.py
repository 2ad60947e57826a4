"""Routes of the front door: the page, `/health` (the process answers) and `/ready` (everything behind it does)."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from cloudyard.surfaces.front import account_links, payment_events
from cloudyard.surfaces.front.content import Front
from cloudyard.surfaces.front.page import render_page
from cloudyard.surfaces.front.policy import READY_PATH
from cloudyard.web.errors import ProblemRenderer, install_error_handlers
from cloudyard.web.health import Finding, State, may_see_details, overall

PAGE = "/"
HEALTH = "/health"
PATHS = (PAGE, HEALTH, READY_PATH, payment_events.PATH, *account_links.PATHS)

READ = ["GET", "HEAD"]
READINESS = {State.WELL: "ready", State.DEGRADED: "degraded", State.UNAVAILABLE: "not_ready"}
FRESH = {"Cache-Control": "no-store"}


def create_app(front: Front) -> FastAPI:
    """The app, to be served behind a `Gate` with this surface's policy."""
    app = FastAPI(title="Cloudyard", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    install_error_handlers(app, ProblemRenderer())

    async def page(request: Request) -> Response:
        host = request.headers.get("host", "")
        html = render_page(front, await front.health(), scheme=request.url.scheme, host=host)
        return HTMLResponse(html, headers=FRESH)

    async def health() -> Response:
        body = {"status": "healthy", "version": front.version, "uptime": int(front.uptime())}
        return JSONResponse(body, headers=FRESH)

    async def ready(request: Request) -> Response:
        findings = await front.health()
        state = overall(findings)
        body = {"status": READINESS[state], "parts": _parts(findings, details=may_see_details(request.scope))}
        return JSONResponse(body, 503 if state is State.UNAVAILABLE else 200, headers=FRESH)

    for path, endpoint in ((PAGE, page), (HEALTH, health), (READY_PATH, ready)):
        app.add_api_route(path, endpoint, methods=READ, include_in_schema=False)
    account_links.add_account_links(app, front.recovery)
    payment_events.add_payment_events(app, front.receive_payment_event)
    return app


def _parts(findings: Sequence[Finding], *, details: bool) -> dict[str, Any]:
    return {
        finding.name: {
            "ok": finding.ok,
            "backend": finding.backend,
            "seconds": round(finding.seconds, 4),
            **({} if finding.ok else {"problem": finding.shown(details=details)}),
        }
        for finding in findings
    }
