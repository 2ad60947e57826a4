"""The authorization server: applications ask users here whether they may act for them."""

from cloudyard.surfaces.oauth.app import create_app, create_metadata_app
from cloudyard.surfaces.oauth.errors import OAuthErrors
from cloudyard.surfaces.oauth.policy import MOST_BODY_BYTES, POLICY, WELL_KNOWN_POLICY
from cloudyard.surfaces.oauth.services import OAuthServices

__all__ = [
    "MOST_BODY_BYTES",
    "POLICY",
    "WELL_KNOWN_POLICY",
    "OAuthErrors",
    "OAuthServices",
    "create_app",
    "create_metadata_app",
]
