"""Tokens for codes and refresh tokens (RFC 6749, sections 4.1.3 and 6), and giving them back (RFC 7009)."""

from collections.abc import Mapping

import msgspec
from fastapi import FastAPI, Request
from starlette.responses import Response

from cloudyard.domains.identity import DelegatedTokens
from cloudyard.surfaces.oauth.errors import InvalidTarget, UnsupportedGrantType
from cloudyard.surfaces.oauth.form import need, once, posted
from cloudyard.surfaces.oauth.policy import REVOKE, TOKEN
from cloudyard.surfaces.oauth.services import OAuthServices

SECRET = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def add_tokens(app: FastAPI, services: OAuthServices) -> None:
    """Add both endpoints."""

    async def token(request: Request) -> Response:
        fields = once(await posted(request))
        check_resource(fields, services.public_url.base(request.scope) + services.resource_path)
        tokens = await _given(services, fields)
        return Response(msgspec.json.encode(_shown(tokens)), media_type="application/json", headers=SECRET)

    async def revoke(request: Request) -> Response:
        fields = once(await posted(request))
        await services.delegations.revoke_token(need(fields, "token"), client_id=need(fields, "client_id"))
        return Response(headers=SECRET)

    app.add_api_route(TOKEN, token, methods=["POST"], include_in_schema=False)
    app.add_api_route(REVOKE, revoke, methods=["POST"], include_in_schema=False)


def check_resource(fields: Mapping[str, str], resource: str) -> None:
    """Refuse a token for anything but `resource` (RFC 8707). Raises `InvalidTarget`."""
    asked = fields.get("resource")
    if asked is not None and asked.rstrip("/") != resource:
        raise InvalidTarget(f"Tokens are given here for {resource} alone.", field="resource")


async def _given(services: OAuthServices, fields: Mapping[str, str]) -> DelegatedTokens:
    kind, client_id = need(fields, "grant_type"), need(fields, "client_id")
    if kind == "authorization_code":
        return await services.delegations.exchange(
            need(fields, "code"),
            client_id=client_id,
            redirect_uri=need(fields, "redirect_uri"),
            verifier=need(fields, "code_verifier"),
        )
    if kind == "refresh_token":
        wanted = frozenset(fields.get("scope", "").split())
        return await services.delegations.refresh(need(fields, "refresh_token"), client_id=client_id, wanted=wanted)
    raise UnsupportedGrantType("`grant_type` is `authorization_code` or `refresh_token` here.", field="grant_type")


def _shown(tokens: DelegatedTokens) -> dict[str, object]:
    return {
        "access_token": tokens.access_token,
        "token_type": "Bearer",
        "expires_in": tokens.expires_in,
        "refresh_token": tokens.refresh_token,
        "scope": " ".join(sorted(tokens.scopes)),
    }
