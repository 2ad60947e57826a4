"""The Dev-PyNode surface, `/pynode`."""

from cloudyard.surfaces.pynode.app import create_app
from cloudyard.surfaces.pynode.errors import PynodeErrors
from cloudyard.surfaces.pynode.policy import POLICY
from cloudyard.surfaces.pynode.services import PynodeServices

__all__ = ["POLICY", "PynodeErrors", "PynodeServices", "create_app"]
