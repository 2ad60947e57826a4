"""The Smart AI Hub surface's app."""

from fastapi import FastAPI

from cloudyard.surfaces.aihub.errors import AihubErrors
from cloudyard.surfaces.aihub.policy import DOCUMENTS, POLICY
from cloudyard.surfaces.aihub.routes import (
    admin_payments,
    administration,
    applications,
    authentication,
    chat,
    credits,
    live,
    notifications,
    purchases,
    push,
    sign_in,
    users,
    webhooks,
)
from cloudyard.surfaces.aihub.services import AihubServices
from cloudyard.web.surface_app import new_surface_app

DESCRIPTION = (
    "Accounts, chat, credits, notifications, webhooks and administration as Smart AI Hub's API has them, over the "
    "users, the models and the ledger of this installation."
)


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
    for part in (authentication, users, credits, purchases, chat, administration, notifications, push, webhooks):
        app.include_router(part.router)
    app.include_router(sign_in.router)
    app.include_router(applications.router)
    app.include_router(admin_payments.router)
    app.include_router(live.router)
    app.state.open_sockets = live.OpenSockets()
    return app
