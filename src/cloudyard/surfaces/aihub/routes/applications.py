"""Applications that the current user has let in through OAuth. The document knows none; they act through MCP."""

from fastapi import APIRouter

from cloudyard.domains.identity import Delegation
from cloudyard.surfaces.aihub.mapping import timestamp
from cloudyard.surfaces.aihub.routes.meta import CurrentMeta
from cloudyard.surfaces.aihub.schemas import Envelope, ErrorEnvelope, Part, Said
from cloudyard.surfaces.aihub.services import Services
from cloudyard.web.authentication import CurrentAccount
from cloudyard.web.documented_errors import failures
from cloudyard.web.json_body import StrictJsonRoute

router = APIRouter(prefix="/api/users/me/applications", tags=["Users"], route_class=StrictJsonRoute)


class ApplicationView(Part):
    """An application and what it may do. `client_id` is its own id or address; `last_used_at` is its last token."""

    id: str
    name: str
    client_id: str
    scopes: list[str]
    created_at: str
    last_used_at: str


@router.get("", summary="List the applications let in", responses=failures(ErrorEnvelope, 401, 403, 429))
async def list_applications(
    caller: CurrentAccount, services: Services, meta: CurrentMeta
) -> Envelope[list[ApplicationView]]:
    """The applications that act in the caller's name, newest first."""
    found = await services.delegations.list(caller.user_id)
    return Envelope[list[ApplicationView]](data=[_view(delegation) for delegation in found], meta=meta)


@router.delete(
    "/{application_id}", summary="End what an application may do", responses=failures(ErrorEnvelope, 401, 403, 404, 429)
)
async def end_application(
    application_id: str, caller: CurrentAccount, services: Services, meta: CurrentMeta
) -> Envelope[Said]:
    """Refuse its tokens from now on."""
    await services.delegations.revoke(caller.user_id, application_id)
    return Envelope[Said](data=Said(message="The application may do nothing any more."), meta=meta)


def _view(delegation: Delegation) -> ApplicationView:
    return ApplicationView(
        id=delegation.id,
        name=delegation.client_name,
        client_id=delegation.client_id,
        scopes=sorted(delegation.scopes),
        created_at=timestamp(delegation.created_at),
        last_used_at=timestamp(delegation.last_used_at),
    )
