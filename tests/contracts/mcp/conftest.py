"""The fixtures of MCP's contract tests."""

from mcp_people import ann, bob, certificate, client_documents, mcp_server, stranger, upstream

__all__ = ["ann", "bob", "certificate", "client_documents", "mcp_server", "stranger", "upstream"]
