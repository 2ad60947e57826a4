"""Failures in Smart AI Hub's envelope, with the codes of its document (Error Handling)."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from pydantic.alias_generators import to_camel

from cloudyard.foundation.clock import Clock
from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.surfaces.aihub.mapping import VERSION, timestamp
from cloudyard.web.errors import Issue, Rendered, StatusTable, issues_of, standard_headers

UNPROCESSABLE = 422
BAD_REQUESTS = ("unreadable_json", "redirect_uri_not_allowed", "invalid_sign_in")
"""Codes of what is not even worth validating."""

OAUTH_NAMES = frozenset({"redirect_uri", "code_challenge"})
"""Parameters that are spelled here as OAuth spells them."""

CODE_OF_KIND: Mapping[ErrorKind, str] = MappingProxyType(
    {
        ErrorKind.INVALID: "VALIDATION_ERROR",
        ErrorKind.UNAUTHENTICATED: "AUTHENTICATION_FAILED",
        ErrorKind.PAYMENT_REQUIRED: "INSUFFICIENT_CREDITS",  # the document names none for it
        ErrorKind.FORBIDDEN: "AUTHORIZATION_FAILED",
        ErrorKind.NOT_FOUND: "RESOURCE_NOT_FOUND",
        ErrorKind.CONFLICT: "RESOURCE_CONFLICT",
        ErrorKind.TOO_LARGE: "VALIDATION_ERROR",
        ErrorKind.UNSUPPORTED: "VALIDATION_ERROR",
        ErrorKind.RATE_LIMITED: "RATE_LIMIT_EXCEEDED",
        ErrorKind.UNAVAILABLE: "SERVICE_UNAVAILABLE",
        ErrorKind.UPSTREAM: "SERVICE_UNAVAILABLE",
        ErrorKind.TIMEOUT: "SERVICE_UNAVAILABLE",
        ErrorKind.INTERNAL: "INTERNAL_ERROR",
    }
)


CODE_OF_ERROR: Mapping[str, str] = MappingProxyType({"payment_failed": "PAYMENT_FAILED"})
"""Where the kind's code would mislead: a declined card is no lack of credits."""


class BalanceTooLow(DomainError):
    """An adjustment would take more than the user has."""

    code = "balance_too_low"
    kind = ErrorKind.CONFLICT


class AihubErrors:
    """Renders failures: what cannot be read at all is 400, what was read and is wrong is 422."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._status = StatusTable({ErrorKind.INVALID: UNPROCESSABLE}, dict.fromkeys(BAD_REQUESTS, 400))

    def render(self, error: DomainError, request_id: str) -> Rendered:
        """The answer that tells of an error."""
        status = self._status(error)
        body = {
            "success": False,
            "error": {
                "code": CODE_OF_ERROR.get(error.code, CODE_OF_KIND[error.kind]),
                "message": _spelled(error.message, error.field),
                "details": [_detail(issue) for issue in issues_of(error)],
            },
            "meta": {"timestamp": timestamp(self._clock.now()), "requestId": request_id, "version": VERSION},
        }
        return Rendered(status, msgspec.json.encode(body), standard_headers(status, error))


def _detail(issue: Issue) -> dict[str, str]:
    return {"field": _camel(issue.field), "message": _spelled(issue.message, issue.field)}


def _spelled(message: str, field: str | None) -> str:
    """The message with the name of the field as this contract spells it."""
    return message.replace(f"`{field}`", f"`{_camel(field)}`") if field is not None else message


def _camel(field: str) -> str:
    return to_camel(field) if "_" in field and field not in OAUTH_NAMES else field
