"""The `timestamp` that every answer carries."""

from typing import Annotated

from fastapi import Depends

from cloudyard.surfaces.neurogrid.mapping import timestamp
from cloudyard.surfaces.neurogrid.services import Services


def current_timestamp(services: Services) -> str:
    """FastAPI dependency: the moment of this request."""
    return timestamp(services.clock.now())


Timestamp = Annotated[str, Depends(current_timestamp)]
