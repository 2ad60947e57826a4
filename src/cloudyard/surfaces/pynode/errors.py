"""Dev-PyNode's flat error body (pynode.md, Error Responses) for every failure of the core."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.web.errors import Rendered, StatusTable, issues_of, phrase, standard_headers
from cloudyard.web.money_details import USD

MONEY = USD  # the document knows no money

# 409 is not in the document's table: a conflict is a bad request with a code of its own.
STATUS = StatusTable({ErrorKind.CONFLICT: 400}, {"idempotency_key_in_flight": 409})

CODES: Mapping[ErrorKind, str] = MappingProxyType(
    {
        ErrorKind.INVALID: "INVALID_PARAMETERS",
        ErrorKind.UNAUTHENTICATED: "AUTHENTICATION_REQUIRED",
        ErrorKind.PAYMENT_REQUIRED: "INSUFFICIENT_CREDITS",
        ErrorKind.FORBIDDEN: "INSUFFICIENT_PERMISSIONS",
        ErrorKind.NOT_FOUND: "RESOURCE_NOT_FOUND",
        ErrorKind.UNSUPPORTED: "INVALID_PARAMETERS",
        ErrorKind.RATE_LIMITED: "RATE_LIMIT_EXCEEDED",
        ErrorKind.UNAVAILABLE: "SERVICE_UNAVAILABLE",
        ErrorKind.UPSTREAM: "UPSTREAM_ERROR",
        ErrorKind.TIMEOUT: "TIMEOUT",
        ErrorKind.INTERNAL: "INTERNAL_ERROR",
    }
)

# Errors that a caller handles apart from the others of their kind.
OWN_CODES = frozenset(
    {
        "invalid_credentials",
        "invalid_token",
        "token_expired",
        "refresh_token_reused",
        "account_suspended",
        "email_not_verified",
        "spend_cap_reached",
        "unsupported_media_type",
        "method_not_allowed",
        "idempotency_key_reused",
    }
)


class PynodeErrors:
    """Renders failures as `error`, `message`, `code`, and where there is more to tell `details` and `retry_after`."""

    def render(self, error: DomainError, request_id: str) -> Rendered:
        """The answer that tells of an error; the request's id is in its header."""
        status = STATUS(error)
        body = msgspec.json.encode(error_body(error), enc_hook=str)
        return Rendered(status, body, standard_headers(status, error))


def error_body(error: DomainError) -> dict[str, object]:
    """The flat body, also of errors on a WebSocket."""
    body: dict[str, object] = {"error": phrase(STATUS(error)), "message": error.message, "code": code_of(error)}
    details = _details(error)
    if details:
        body["details"] = details
    if error.retry_after is not None:
        body["retry_after"] = max(1, round(error.retry_after))
    return body


def code_of(error: DomainError) -> str:
    """The document's code of an error; conflicts and sizes have the error's own, which is more telling."""
    if error.code in OWN_CODES or error.kind not in CODES:
        return error.code.upper()
    return CODES[error.kind]


def _details(error: DomainError) -> dict[str, object]:
    """The first input at fault as the document shows it; where there are several, all of them."""
    found = [{"field": issue.field, "reason": issue.message} for issue in issues_of(error)]
    details = MONEY.shown(error.details)
    if found:
        details |= found[0]
    if len(found) > 1:
        details["errors"] = found
    return details
