"""The Smart AI Hub surface's app."""

from fastapi import FastAPI

from cloudyard.surfaces.aihub.errors import AihubErrors
from cloudyard.surfaces.aihub.policy import DOCUMENTS, POLICY
from cloudyard.surfaces.aihub.routes import (
    administration,
    authentication,
    chat,
    credits,
    live,
    notifications,
    purchases,
    users,
    webhooks,
)
from cloudyard.surfaces.aihub.services import AihubServices
from cloudyard.web.surface_app import new_surface_app

DESCRIPTION = "Accounts and credits of Smart AI Hub's API, over the users and the ledger of this installation."


def create_app(services: AihubServices) -> FastAPI:
    """The app, to be served behind a `Gate` with `POLICY` and `AihubErrors`."""
    app = new_surface_app(
        POLICY,
        AihubErrors(services.clock),
        services=services,
        description=DESCRIPTION,
        idempotency_keys=services.idempotency,
        documents=DOCUMENTS,
    )
    for part in (authentication, users, credits, purchases, chat, administration, notifications, webhooks):
        app.include_router(part.router)
    app.include_router(live.router)
    return app
