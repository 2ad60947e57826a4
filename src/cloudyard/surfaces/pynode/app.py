"""The Dev-PyNode surface as a FastAPI app."""

from typing import Any

from fastapi import FastAPI

from cloudyard.surfaces.pynode.errors import PynodeErrors
from cloudyard.surfaces.pynode.policy import DOCUMENTS, POLICY
from cloudyard.surfaces.pynode.routes import authentication, chat, files, health, users, websocket
from cloudyard.surfaces.pynode.schemas import Error
from cloudyard.surfaces.pynode.services import PynodeServices
from cloudyard.web.surface_app import new_surface_app

DESCRIPTION = "Chat, chat history and files, with the accounts of this installation."

FAILURES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Error, "description": "What was wrong with the request."},
    "5XX": {"model": Error, "description": "What is wrong here."},
}


def create_app(services: PynodeServices) -> FastAPI:
    """The surface's app, to be served behind a `Gate` with `POLICY` and `PynodeErrors`."""
    app = new_surface_app(
        POLICY,
        PynodeErrors(),
        services=services,
        description=DESCRIPTION,
        idempotency_keys=services.idempotency,
        documents=DOCUMENTS,
    )
    for section in (authentication, users, chat, files):
        app.include_router(section.router, responses=FAILURES)
    app.include_router(health.router)
    app.include_router(websocket.router)
    return app
