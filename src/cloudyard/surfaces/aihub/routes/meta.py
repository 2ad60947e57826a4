"""The `meta` that every answer carries."""

from typing import Annotated

from fastapi import Depends, Request

from cloudyard.surfaces.aihub.mapping import VERSION, timestamp
from cloudyard.surfaces.aihub.schemas import Meta
from cloudyard.surfaces.aihub.services import Services


def current_meta(request: Request, services: Services) -> Meta:
    """FastAPI dependency: the meta of the answer to this request."""
    return Meta(timestamp=timestamp(services.clock.now()), request_id=request.state.request_id, version=VERSION)


CurrentMeta = Annotated[Meta, Depends(current_meta)]
