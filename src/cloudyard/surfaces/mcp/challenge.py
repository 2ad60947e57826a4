"""Telling a client how to be let in: RFC 6750, section 3, with the resource's metadata of RFC 9728, section 5.1."""

from starlette.types import Scope as AsgiScope

from cloudyard.domains.identity import GRANTABLE, Scope
from cloudyard.foundation.errors import DomainError
from cloudyard.surfaces.mcp.policy import POLICY
from cloudyard.web.errors import ProblemRenderer, Rendered
from cloudyard.web.policy import Header
from cloudyard.web.public_url import PublicUrl

METADATA = "/.well-known/oauth-protected-resource" + POLICY.prefix
CHALLENGE = b"www-authenticate"


class Challenges:
    """Refusals of callers who are unknown, or whom their user allowed too little."""

    def __init__(self, public_url: PublicUrl) -> None:
        self._public_url = public_url
        self._problems = ProblemRenderer()

    def unknown(self, error: DomainError, scope: AsgiScope) -> Rendered:
        """The answer to a request without a credential, or with one that is good for nothing (401)."""
        presented = scope["state"]["credential_error"] is not None
        return self._rendered(error, scope, "invalid_token" if presented else None, GRANTABLE)

    def too_little(self, error: DomainError, scope: AsgiScope, needed: Scope) -> Rendered:
        """The answer to an application that needs more than its user allowed it (403): it may ask for that."""
        return self._rendered(error, scope, "insufficient_scope", (needed,))

    def _rendered(self, error: DomainError, scope: AsgiScope, code: str | None, scopes: tuple[Scope, ...]) -> Rendered:
        problem = self._problems.render(error, scope["state"]["request_id"])
        told = [f'error="{code}"'] if code is not None else []
        told.append(f'resource_metadata="{self._public_url.base(scope)}{METADATA}"')
        told.append(f'scope="{" ".join(scopes)}"')
        challenge: Header = (CHALLENGE, f"Bearer {', '.join(told)}".encode())
        others = tuple(header for header in problem.headers if header[0] != CHALLENGE)
        return Rendered(problem.status, problem.body, (*others, challenge), problem.content_type)
