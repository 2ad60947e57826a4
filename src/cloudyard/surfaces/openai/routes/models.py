"""GET /models: what the caller may ask for."""

from fastapi import APIRouter

from cloudyard.surfaces.openai.mapping import visible_model, visible_models
from cloudyard.surfaces.openai.schemas import ModelList, ModelObject
from cloudyard.surfaces.openai.services import Core
from cloudyard.web.authentication import CurrentPrincipal

router = APIRouter(tags=["Models"])


@router.get("/models")
async def list_models(core: Core, principal: CurrentPrincipal) -> ModelList:
    """The models and their other names that the caller's key may use."""
    return ModelList(data=visible_models(core.catalogue, principal))


@router.get("/models/{model:path}")
async def retrieve_model(core: Core, model: str, principal: CurrentPrincipal) -> ModelObject:
    """One model, or another name of one."""
    return visible_model(core.catalogue, principal, model)
