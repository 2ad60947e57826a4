"""The OpenAI surface, `/v1`."""

from cloudyard.surfaces.openai.app import OpenAIApp, create_app
from cloudyard.surfaces.openai.errors import OpenAIErrors
from cloudyard.surfaces.openai.policy import POLICY
from cloudyard.surfaces.openai.services import OpenAIServices

__all__ = ["POLICY", "OpenAIApp", "OpenAIErrors", "OpenAIServices", "create_app"]
