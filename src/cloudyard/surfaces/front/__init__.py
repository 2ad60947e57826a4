"""The front door: one page that says what runs here, and the health of the whole."""

from cloudyard.surfaces.front.app import PATHS, create_app
from cloudyard.surfaces.front.content import Front, ModelLine, SurfaceLine
from cloudyard.surfaces.front.policy import POLICY

__all__ = ["PATHS", "POLICY", "Front", "ModelLine", "SurfaceLine", "create_app"]
