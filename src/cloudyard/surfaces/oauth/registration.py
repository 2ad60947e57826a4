"""Applications register themselves (RFC 7591): a name and addresses, nothing more is kept."""

import msgspec
from fastapi import FastAPI, Request
from starlette.responses import Response

from cloudyard.domains.identity import InvalidClientMetadata, OAuthClient
from cloudyard.surfaces.oauth.policy import REGISTER
from cloudyard.surfaces.oauth.services import OAuthServices


class Registration(msgspec.Struct, frozen=True):
    """What an application says; what else it says is passed over (section 2)."""

    redirect_uris: list[str]
    client_name: str | None = None
    grant_types: list[str] | None = None
    response_types: list[str] | None = None


def add_registration(app: FastAPI, services: OAuthServices) -> None:
    """Add the endpoint."""

    async def register(request: Request) -> Response:
        asked = _read(await request.body())
        client = await services.clients.register(asked.client_name, asked.redirect_uris)
        body = msgspec.json.encode(_shown(client))
        return Response(body, 201, media_type="application/json", headers={"Cache-Control": "no-store"})

    app.add_api_route(REGISTER, register, methods=["POST"], include_in_schema=False)


def _read(body: bytes) -> Registration:
    try:
        asked = msgspec.json.decode(body, type=Registration)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidClientMetadata(f"The client's metadata cannot be read: {error}.") from error
    if asked.grant_types is not None and "authorization_code" not in asked.grant_types:
        raise InvalidClientMetadata("`grant_types` must have `authorization_code` in it.", field="grant_types")
    if asked.response_types is not None and "code" not in asked.response_types:
        raise InvalidClientMetadata("`response_types` must have `code` in it.", field="response_types")
    return asked


def _shown(client: OAuthClient) -> dict[str, object]:
    """What was registered; a client that asked for a secret gets none (section 3.2.1: the server may decide)."""
    return {
        "client_id": client.id,
        "client_id_issued_at": int(client.created_at.timestamp()),
        "client_name": client.name,
        "redirect_uris": client.redirect_uris,
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    }
