"""What the authorization server refuses. The codes are those of RFC 6749 (4.1.2.1, 5.2), 7591 (3.2.2) and 8707 (2)."""

from cloudyard.foundation.errors import DomainError, ErrorKind


class InvalidGrant(DomainError):
    """A code or refresh token is unknown, used, expired, revoked, or another client's."""

    code = "invalid_grant"
    kind = ErrorKind.INVALID


class InvalidClient(DomainError):
    """There is no such client."""

    code = "invalid_client"
    kind = ErrorKind.INVALID


class InvalidRedirectUri(DomainError):
    """An address to come back to cannot be used, or is not one of the client's."""

    code = "invalid_redirect_uri"
    kind = ErrorKind.INVALID


class InvalidClientMetadata(DomainError):
    """What a client says about itself cannot be accepted."""

    code = "invalid_client_metadata"
    kind = ErrorKind.INVALID


class InvalidScope(DomainError):
    """Nothing that is asked for can be granted."""

    code = "invalid_scope"
    kind = ErrorKind.INVALID


class DelegationNotFound(DomainError):
    """The user has let no such application in."""

    code = "application_not_found"
    kind = ErrorKind.NOT_FOUND


class ClientDocumentUnavailable(DomainError):
    """A client's metadata document cannot be read."""

    code = "client_document_unavailable"
    kind = ErrorKind.INVALID
