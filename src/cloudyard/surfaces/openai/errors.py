"""Failures in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`, with its codes where it has one.

After https://platform.openai.com/docs/guides/error-codes and the bodies that its API answers with.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.web.errors import MalformedRequest, Rendered, StatusTable, standard_headers
from cloudyard.web.token_limits import TokenLimitReached

REQUEST_ERROR = "invalid_request_error"
SERVER_ERROR = "server_error"
QUOTA_ERROR = "insufficient_quota"

CODES: Mapping[str, str] = MappingProxyType(
    {
        "authentication_required": "invalid_api_key",
        "invalid_credentials": "invalid_api_key",
        "invalid_token": "invalid_api_key",
        "token_expired": "invalid_api_key",
        "insufficient_credits": QUOTA_ERROR,
        "spend_cap_reached": "billing_hard_limit_reached",
        "rate_limited": "rate_limit_exceeded",
        "route_not_found": "unknown_url",
        "unsupported_media_type": "unsupported_content_type",
        "unreadable_json": "invalid_json",
        "internal_error": SERVER_ERROR,
    }
)
TYPES: Mapping[ErrorKind, str] = MappingProxyType(
    {
        ErrorKind.PAYMENT_REQUIRED: QUOTA_ERROR,
        ErrorKind.RATE_LIMITED: "requests",
        ErrorKind.UNAVAILABLE: SERVER_ERROR,
        ErrorKind.UPSTREAM: SERVER_ERROR,
        ErrorKind.TIMEOUT: SERVER_ERROR,
        ErrorKind.INTERNAL: SERVER_ERROR,
    }
)
MISSING = re.compile(r"missing required field|Field required")
WRONG_TYPE = re.compile(r"Expected `[^`]*`, got |valid (string|integer|number|boolean|list|dictionary)")


class OpenAIErrors:
    """Renders failures for `/v1`."""

    def __init__(self) -> None:
        self._status = StatusTable()

    def render(self, error: DomainError, request_id: str) -> Rendered:
        """The answer that tells of an error."""
        status = self._status(error)
        return Rendered(status, msgspec.json.encode(error_body(error)), standard_headers(status, error))


def error_body(error: DomainError) -> dict[str, dict[str, str | None]]:
    """The body that tells of an error, also as the last event of a stream that broke off."""
    return {
        "error": {
            "message": error.message,
            "type": _type(error),
            "param": error.field,
            "code": _code(error),
        }
    }


def _type(error: DomainError) -> str:
    if isinstance(error, TokenLimitReached):
        return "tokens"
    return TYPES.get(error.kind, REQUEST_ERROR)


def _code(error: DomainError) -> str:
    if isinstance(error, TokenLimitReached):
        return CODES["rate_limited"]
    if isinstance(error, MalformedRequest) and error.code not in CODES:
        return _validation_code(error)
    return CODES.get(error.code, error.code)


def _validation_code(error: MalformedRequest) -> str:
    what = error.issues[0].message if error.issues else ""
    if MISSING.search(what):
        return "missing_required_parameter"
    return "invalid_type" if WRONG_TYPE.search(what) else "invalid_value"
