"""The NeuroGrid surface: accounts, API keys and the wallet in its published contract."""

from cloudyard.surfaces.neurogrid.app import create_app
from cloudyard.surfaces.neurogrid.errors import NeurogridErrors
from cloudyard.surfaces.neurogrid.policy import DOCUMENTS, POLICY
from cloudyard.surfaces.neurogrid.services import NeurogridServices

__all__ = ["DOCUMENTS", "POLICY", "NeurogridErrors", "NeurogridServices", "create_app"]
