"""A surface's own description: OpenAPI as JSON and YAML, and Swagger UI from files of this machine."""

from dataclasses import dataclass
from html import escape
from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

ASSETS_PACKAGE = "fastapi_offline"
ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
# Swagger UI needs nothing inline (its start script is a file of its own), and it talks to its own surface only.
DOCS_CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
LONG = "public, max-age=86400"


@dataclass(frozen=True, slots=True)
class DocumentPaths:
    """Where a surface's documents are. `yaml` is None where the contract has none."""

    page: str = "/docs"
    json: str = "/openapi.json"
    yaml: str | None = "/openapi.yaml"

    def all(self) -> tuple[str, ...]:
        """Every path that documents are under."""
        return tuple(path for path in (self.page, self.json, self.yaml) if path is not None)


def install_documents(app: FastAPI, at: DocumentPaths) -> None:
    """Serve the documents of a FastAPI app."""

    async def openapi_json(request: Request) -> Response:
        return JSONResponse(_located(app, request))

    async def openapi_yaml(request: Request) -> Response:
        yaml = import_module("yaml")  # a mebibyte that most servers never need
        text = yaml.safe_dump(_located(app, request), sort_keys=False, allow_unicode=True)
        return Response(text, media_type="application/yaml")

    async def page(request: Request) -> Response:
        root = request.scope.get("root_path", "")
        return _fenced(_page(app.title, f"{root}{at.page}/assets"), "text/html")

    async def start(request: Request) -> Response:
        root = request.scope.get("root_path", "")
        return _fenced(_start(f"{root}{at.json}"), "text/javascript")

    def asset(name: str) -> Response:  # no coroutine: FastAPI reads the file in a thread
        if name not in ASSETS:
            return Response(status_code=404)
        return Response(_asset(name).read_bytes(), media_type=ASSETS[name], headers={"Cache-Control": LONG})

    app.add_api_route(at.json, openapi_json, include_in_schema=False)
    if at.yaml is not None:
        app.add_api_route(at.yaml, openapi_yaml, include_in_schema=False)
    app.add_api_route(at.page, page, include_in_schema=False)
    app.add_api_route(f"{at.page}/assets/start.js", start, include_in_schema=False)
    app.add_api_route(f"{at.page}/assets/{{name}}", asset, include_in_schema=False)


def _located(app: FastAPI, request: Request) -> dict[str, Any]:
    """The description, with the place where it is served."""
    return {**app.openapi(), "servers": [{"url": request.scope.get("root_path", "") or "/"}]}


def _asset(name: str) -> Traversable:
    return files(ASSETS_PACKAGE) / "static" / name


def _fenced(body: str, media_type: str) -> Response:
    return Response(body, media_type=media_type, headers={"Content-Security-Policy": DOCS_CONTENT_POLICY})


def _page(title: str, assets: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} - Swagger UI</title>
<link rel="icon" href="{escape(assets)}/favicon.png">
<link rel="stylesheet" href="{escape(assets)}/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{escape(assets)}/swagger-ui-bundle.js"></script>
<script src="{escape(assets)}/start.js"></script>
</body>
</html>
"""


def _start(description: str) -> str:
    return (
        f'SwaggerUIBundle({{url: "{description}", dom_id: "#swagger-ui", deepLinking: true, '
        "presets: [SwaggerUIBundle.presets.apis], layout: 'BaseLayout', validatorUrl: null});\n"
    )
