"""The FastAPI app that a surface starts from: our errors, our JSON reading, our documents."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from cloudyard.foundation.durable import IdempotencyKeys
from cloudyard.web.documents import DocumentPaths, install_documents
from cloudyard.web.errors import ErrorRenderer, install_error_handlers
from cloudyard.web.json_body import StrictJsonRoute, takes_json
from cloudyard.web.policy import SurfacePolicy


class SurfaceApp(FastAPI):
    """A FastAPI app that takes in only routers whose JSON bodies are read strictly."""

    def include_router(self, router: APIRouter, **options: Any) -> None:
        """Include a router. Raises TypeError for a route that takes JSON and is no `StrictJsonRoute`."""
        for route in router.routes:
            if isinstance(route, APIRoute) and takes_json(route) and not isinstance(route, StrictJsonRoute):
                raise TypeError(f"{route.path} takes JSON: build its router with route_class=StrictJsonRoute")
        super().include_router(router, **options)


def new_surface_app(
    policy: SurfacePolicy,
    renderer: ErrorRenderer,
    *,
    services: object,
    description: str,
    idempotency_keys: IdempotencyKeys | None = None,
    documents: DocumentPaths | None = None,
) -> FastAPI:
    """An app without routes. Routes find their services in `request.app.state.services`.

    To be served behind a `Gate`. `idempotency_keys` are needed where a route is an `IdempotentRoute`.
    """
    app = SurfaceApp(
        title=policy.title,
        version=policy.version,
        description=description,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.router.route_class = StrictJsonRoute
    app.state.services = services
    app.state.policy = policy
    app.state.idempotency_keys = idempotency_keys
    install_error_handlers(app, renderer)
    install_documents(app, documents or DocumentPaths())
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
