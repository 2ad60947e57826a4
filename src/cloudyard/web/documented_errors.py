"""Error answers in a surface's OpenAPI description."""

from typing import Any

from pydantic import BaseModel

from cloudyard.web.errors import phrase

Responses = dict[int | str, dict[str, Any]]


def failures(shape: type[BaseModel], *statuses: int) -> Responses:
    """FastAPI's `responses` for errors of the surface's shape: these statuses, and any other one."""
    documented: Responses = {status: {"model": shape, "description": phrase(status)} for status in statuses}
    return {**documented, "default": {"model": shape, "description": "Any other failure"}}
