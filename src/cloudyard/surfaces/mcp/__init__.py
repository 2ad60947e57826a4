"""The Model Context Protocol over the same core: tools for models, chat, wallet and history."""

from cloudyard.surfaces.mcp.app import ABOUT_FOR_PEOPLE, McpApp
from cloudyard.surfaces.mcp.credentials import McpCredentials
from cloudyard.surfaces.mcp.policy import POLICY
from cloudyard.surfaces.mcp.services import McpServices

__all__ = ["ABOUT_FOR_PEOPLE", "POLICY", "McpApp", "McpCredentials", "McpServices"]
