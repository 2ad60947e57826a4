"""Routes of the front door: the page, `/health` (the process answers) and `/ready` (everything behind it does)."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from cloudyard.surfaces.front import account_links
from cloudyard.surfaces.front.content import Front
from cloudyard.surfaces.front.page import render_page
from cloudyard.web.errors import ProblemRenderer, install_error_handlers
from cloudyard.web.health import Finding

PAGE = "/"
HEALTH = "/health"
READY = "/ready"
PATHS = (PAGE, HEALTH, READY, *account_links.PATHS)

READ = ["GET", "HEAD"]
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

    async def ready() -> Response:
        findings = await front.health()
        well = all(finding.ok for finding in findings)
        body = {"status": "ready" if well else "not_ready", "parts": _parts(findings)}
        return JSONResponse(body, 200 if well else 503, headers=FRESH)

    for path, endpoint in ((PAGE, page), (HEALTH, health), (READY, ready)):
        app.add_api_route(path, endpoint, methods=READ, include_in_schema=False)
    account_links.add_account_links(app, front.recovery)
    return app


def _parts(findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        finding.name: {
            "ok": finding.ok,
            "backend": finding.backend,
            "seconds": round(finding.seconds, 4),
            **({} if finding.ok else {"problem": finding.problem}),
        }
        for finding in findings
    }
