"""The NeuroGrid surface's app."""

from fastapi import FastAPI

from cloudyard.surfaces.neurogrid.errors import NeurogridErrors
from cloudyard.surfaces.neurogrid.policy import DOCUMENTS, POLICY
from cloudyard.surfaces.neurogrid.routes import api_keys, authentication, wallet
from cloudyard.surfaces.neurogrid.services import NeurogridServices
from cloudyard.web.surface_app import new_surface_app

DESCRIPTION = (
    "Accounts, API keys and the wallet of NeuroGrid's API, over the users and the ledger of this installation."
)


def create_app(services: NeurogridServices) -> FastAPI:
    """The app, to be served behind a `Gate` with `POLICY` and `NeurogridErrors`."""
    app = new_surface_app(
        POLICY,
        NeurogridErrors(services.clock),
        services=services,
        description=DESCRIPTION,
        idempotency_keys=services.idempotency,
        documents=DOCUMENTS,
    )
    for router in (authentication.router, api_keys.router, api_keys.revocation, wallet.router):
        app.include_router(router)
    return app
