"""The fixtures of the TypeScript client's tests."""

from typescript_client import built_client, environment, hub, node

__all__ = ["built_client", "environment", "hub", "node"]
