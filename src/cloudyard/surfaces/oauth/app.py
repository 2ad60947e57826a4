"""The apps of the authorization server: its endpoints under one prefix, its metadata under `/.well-known`."""

from fastapi import FastAPI

from cloudyard.surfaces.oauth.authorization import add_authorization
from cloudyard.surfaces.oauth.errors import OAuthErrors
from cloudyard.surfaces.oauth.metadata import add_metadata
from cloudyard.surfaces.oauth.registration import add_registration
from cloudyard.surfaces.oauth.services import OAuthServices
from cloudyard.surfaces.oauth.tokens import add_tokens
from cloudyard.web.errors import install_error_handlers


def create_app(services: OAuthServices) -> FastAPI:
    """The endpoints, to be served behind a `Gate` with `POLICY`."""
    app = _new_app()
    add_authorization(app, services)
    add_tokens(app, services)
    if services.registration:
        add_registration(app, services)
    return app


def create_metadata_app(services: OAuthServices) -> FastAPI:
    """The metadata, to be served behind a `Gate` with `WELL_KNOWN_POLICY`."""
    app = _new_app()
    add_metadata(app, services)
    return app


def _new_app() -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    install_error_handlers(app, OAuthErrors())
    return app
