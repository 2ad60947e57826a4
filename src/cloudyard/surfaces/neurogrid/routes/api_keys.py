"""A user's API keys (document, User Management)."""

from fastapi import APIRouter

from cloudyard.domains.identity import check_key_rights
from cloudyard.surfaces.neurogrid.mapping import api_key_view, created_api_key, spend_cap_nanos
from cloudyard.surfaces.neurogrid.routes.timestamps import Timestamp
from cloudyard.surfaces.neurogrid.schemas import (
    Answer,
    ApiKeyView,
    CreatedApiKey,
    ErrorAnswer,
    NewApiKey,
    RevokedApiKey,
)
from cloudyard.surfaces.neurogrid.services import Services
from cloudyard.web.authentication import CurrentAccount
from cloudyard.web.documented_errors import failures
from cloudyard.web.idempotency import IdempotentRoute
from cloudyard.web.json_body import StrictJsonRoute

PATH = "/api/users/api-keys"

router = APIRouter(prefix=PATH, tags=["User Management"], route_class=StrictJsonRoute)
revocation = APIRouter(prefix=PATH, tags=["User Management"], route_class=IdempotentRoute)


@router.get("", summary="List the API keys", responses=failures(ErrorAnswer, 401, 403, 429))
async def list_api_keys(caller: CurrentAccount, services: Services, now: Timestamp) -> Answer[list[ApiKeyView]]:
    """The caller's keys that are not revoked, newest first, without their secrets."""
    keys = await services.api_keys.list(caller.user_id)
    return Answer[list[ApiKeyView]](data=[api_key_view(key) for key in keys], timestamp=now)


@router.post("", status_code=201, summary="Create an API key", responses=failures(ErrorAnswer, 400, 401, 403, 409, 429))
async def create_api_key(
    body: NewApiKey, caller: CurrentAccount, services: Services, now: Timestamp
) -> Answer[CreatedApiKey]:
    """A new key. Its secret is shown this once; a key cannot make one that may do more than itself."""
    check_key_rights(caller, scopes=body.scopes, allowed_models=body.allowed_models, expires_at=body.expires_at)
    key, secret = await services.api_keys.create(
        caller.user_id,
        name=body.name,
        scopes=body.scopes,
        allowed_models=body.allowed_models,
        expires_at=body.expires_at,
        spend_cap_nanos=spend_cap_nanos(body.spend_cap),
        requests_per_minute=body.requests_per_minute,
        tokens_per_minute=body.tokens_per_minute,
    )
    return Answer[CreatedApiKey](data=created_api_key(key, secret), timestamp=now)


@revocation.delete("/{key_id}", summary="Revoke an API key", responses=failures(ErrorAnswer, 401, 403, 404, 429))
async def revoke_api_key(
    key_id: str, caller: CurrentAccount, services: Services, now: Timestamp
) -> Answer[RevokedApiKey]:
    """End a key for good; it is refused from now on."""
    await services.api_keys.revoke(caller.user_id, key_id)
    return Answer[RevokedApiKey](data=RevokedApiKey(id=key_id, message="The API key is revoked."), timestamp=now)
