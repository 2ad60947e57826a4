"""What the authorization server needs."""

from dataclasses import dataclass

from cloudyard.domains.identity import Delegations, OAuthClients, Sessions
from cloudyard.web.public_url import PublicUrl


@dataclass(frozen=True, slots=True)
class OAuthServices:
    """The services behind it. `resource_path` is what its tokens are for; `registration` whether anyone may register
    an application."""

    sessions: Sessions
    clients: OAuthClients
    delegations: Delegations
    public_url: PublicUrl
    resource_path: str = "/mcp"
    registration: bool = True
