"""The session behind a request, for routes that end it."""

from typing import Annotated

from fastapi import Depends

from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.web.authentication import CurrentPrincipal


class NoSession(DomainError):
    """The request came with an API key, and a key has no session."""

    code = "no_session"
    kind = ErrorKind.INVALID


def current_session(principal: CurrentPrincipal) -> str:
    """FastAPI dependency: the id of the session that the caller's token belongs to. Raises `NoSession`."""
    if principal.session_id is None:
        raise NoSession("An API key has no session to end. Revoke the key, or send the access token of a login.")
    return principal.session_id


CurrentSession = Annotated[str, Depends(current_session)]
