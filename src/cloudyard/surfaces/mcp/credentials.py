"""Whom the MCP server knows: holders of an API key or a session, and applications that a user let in."""

from cloudyard.domains.identity import Delegations, Principal, Sessions, says_it_is_delegated


class McpCredentials:
    """Tells whose a credential is. An application's token is taken here and on no other surface."""

    def __init__(self, sessions: Sessions, delegations: Delegations) -> None:
        self._sessions = sessions
        self._delegations = delegations

    def cached(self, credential: str) -> Principal | None:
        """The answer if it is known without asking the database."""
        return self._sessions.cached(credential) or self._delegations.cached(credential)

    async def authenticate(self, credential: str) -> Principal:
        """Whose the credential is. Raises `InvalidToken`, `TokenExpired`, `AccountSuspended`."""
        if says_it_is_delegated(credential):
            return await self._delegations.authenticate(credential)
        return await self._sessions.authenticate(credential)
