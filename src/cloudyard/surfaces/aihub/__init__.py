"""The Smart AI Hub surface: accounts and credits in its published contract."""

from cloudyard.surfaces.aihub.app import create_app
from cloudyard.surfaces.aihub.errors import AihubErrors
from cloudyard.surfaces.aihub.policy import DOCUMENTS, POLICY
from cloudyard.surfaces.aihub.services import AihubServices

__all__ = ["DOCUMENTS", "POLICY", "AihubErrors", "AihubServices", "create_app"]
