"""What applications read first: whose tokens `/mcp` takes (RFC 9728), and where they get them (RFC 8414)."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from cloudyard.domains.identity import GRANTABLE
from cloudyard.surfaces.oauth.policy import AUTHORIZE, POLICY, REGISTER, REVOKE, TOKEN
from cloudyard.surfaces.oauth.services import OAuthServices

SERVER = "/oauth-authorization-server"
RESOURCE = "/oauth-protected-resource"
SCOPES = [scope.value for scope in GRANTABLE]


def add_metadata(app: FastAPI, services: OAuthServices) -> None:
    """Add both documents. A client that knows only the server's origin finds the resource's there too."""

    async def of_server(request: Request) -> Response:
        return _json(server_metadata(services.public_url.base(request.scope), registration=services.registration))

    async def of_resource(request: Request) -> Response:
        return _json(resource_metadata(services.public_url.base(request.scope), services.resource_path))

    app.add_api_route(SERVER, of_server, methods=["GET"], include_in_schema=False)
    for path in (RESOURCE + services.resource_path, RESOURCE):
        app.add_api_route(path, of_resource, methods=["GET"], include_in_schema=False)


def server_metadata(base: str, *, registration: bool) -> Mapping[str, Any]:
    """The authorization server's document. Its issuer is the server's base URL."""
    at = base + POLICY.prefix
    return {
        "issuer": base,
        "authorization_endpoint": at + AUTHORIZE,
        "token_endpoint": at + TOKEN,
        **({"registration_endpoint": at + REGISTER} if registration else {}),
        "revocation_endpoint": at + REVOKE,
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "client_id_metadata_document_supported": True,
        "authorization_response_iss_parameter_supported": True,
    }


def resource_metadata(base: str, path: str) -> Mapping[str, Any]:
    """The document of what the tokens are for."""
    return {
        "resource": base + path,
        "authorization_servers": [base],
        "scopes_supported": SCOPES,
        "bearer_methods_supported": ["header"],
        "resource_name": "Cloudyard MCP server",
    }


def _json(document: Mapping[str, Any]) -> Response:
    return JSONResponse(document, headers={"Cache-Control": "no-store"})
