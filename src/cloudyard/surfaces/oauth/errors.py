"""Errors as OAuth has them (RFC 6749, section 5.2): `error` and `error_description`."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.web.errors import Rendered, StatusTable, standard_headers

NOT_KEPT = (b"cache-control", b"no-store")
OWN_CODES = frozenset(
    {
        "invalid_grant",
        "invalid_client",
        "invalid_redirect_uri",
        "invalid_client_metadata",
        "invalid_scope",
        "invalid_target",
        "unsupported_grant_type",
        "unsupported_response_type",
        "access_denied",
    }
)
CODE_OF_KIND: Mapping[ErrorKind, str] = MappingProxyType(
    {
        ErrorKind.INTERNAL: "server_error",
        ErrorKind.UPSTREAM: "server_error",
        ErrorKind.TIMEOUT: "temporarily_unavailable",
        ErrorKind.UNAVAILABLE: "temporarily_unavailable",
        ErrorKind.RATE_LIMITED: "temporarily_unavailable",
    }
)


class InvalidTarget(DomainError):
    """A token is wanted for something else than what this server gives tokens for (RFC 8707, section 2)."""

    code = "invalid_target"
    kind = ErrorKind.INVALID


class UnsupportedGrantType(DomainError):
    """Tokens are given for codes and refresh tokens alone."""

    code = "unsupported_grant_type"
    kind = ErrorKind.INVALID


class UnsupportedResponseType(DomainError):
    """The answer to an authorization request is a code and nothing else."""

    code = "unsupported_response_type"
    kind = ErrorKind.INVALID


def oauth_code(error: DomainError) -> str:
    """The code that OAuth has for an error."""
    if error.code in OWN_CODES:
        return error.code
    return CODE_OF_KIND.get(error.kind, "invalid_request")


class OAuthErrors:
    """Renders errors for applications."""

    def __init__(self) -> None:
        self._status = StatusTable()

    def render(self, error: DomainError, request_id: str) -> Rendered:
        """The answer that tells of an error."""
        status = self._status(error)
        told = {"error": oauth_code(error), "error_description": error.message, "request_id": request_id}
        return Rendered(status, msgspec.json.encode(told), (*standard_headers(status, error), NOT_KEPT))
