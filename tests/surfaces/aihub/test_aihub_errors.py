import json
from typing import Any

import pytest

from cloudyard.domains.identity import EmailTaken, InvalidProfile
from cloudyard.domains.ledger import InsufficientCredits
from cloudyard.domains.payments import PaymentFailed
from cloudyard.foundation.errors import DomainError, ErrorKind, FeatureUnavailable
from cloudyard.foundation.limiting import RateLimited
from cloudyard.surfaces.aihub.errors import CODE_OF_ERROR, CODE_OF_KIND, AihubErrors, BalanceTooLow
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.errors import every_error
from cloudyard.web.errors import Issue, MalformedRequest, Rendered, UnreadableJson

# Error Handling / Error Codes of the document.
DOCUMENTED = {
    "VALIDATION_ERROR",
    "AUTHENTICATION_FAILED",
    "AUTHORIZATION_FAILED",
    "RESOURCE_NOT_FOUND",
    "RESOURCE_CONFLICT",
    "RATE_LIMIT_EXCEEDED",
    "INTERNAL_ERROR",
    "SERVICE_UNAVAILABLE",
}


def rendered(error: DomainError) -> tuple[Rendered, Any]:
    answer = AihubErrors(ManualClock()).render(error, "req-1")
    return answer, json.loads(answer.body)


def test_every_kind_has_a_code() -> None:
    assert set(CODE_OF_KIND) == set(ErrorKind)
    assert set(CODE_OF_KIND.values()) - DOCUMENTED == {"INSUFFICIENT_CREDITS"}


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_failure_has_a_status_and_the_envelope(kind: type[DomainError]) -> None:
    answer, body = rendered(kind("What happened."))
    code = CODE_OF_ERROR.get(kind.code, CODE_OF_KIND[kind.kind])
    assert 400 <= answer.status < 600
    assert body == {
        "success": False,
        "error": {"code": code, "message": "What happened.", "details": []},
        "meta": {"timestamp": "2026-01-01T00:00:00Z", "requestId": "req-1", "version": "1.0"},
    }
    assert answer.content_type == "application/json"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (MalformedRequest("x"), 422, "VALIDATION_ERROR"),
        (UnreadableJson("x"), 400, "VALIDATION_ERROR"),
        (EmailTaken("x"), 409, "RESOURCE_CONFLICT"),
        (BalanceTooLow("x"), 409, "RESOURCE_CONFLICT"),
        (InsufficientCredits("x"), 402, "INSUFFICIENT_CREDITS"),
        (PaymentFailed("x"), 402, "PAYMENT_FAILED"),
        (FeatureUnavailable("x"), 503, "SERVICE_UNAVAILABLE"),
        (RateLimited("x"), 429, "RATE_LIMIT_EXCEEDED"),
        (DomainError("x"), 500, "INTERNAL_ERROR"),
    ],
)
def test_statuses_and_codes_of_the_document(error: DomainError, status: int, code: str) -> None:
    answer, body = rendered(error)
    assert (answer.status, body["error"]["code"]) == (status, code)


def test_every_fault_is_a_detail() -> None:
    _, body = rendered(MalformedRequest("Two faults", [Issue("email", "is none"), Issue("items.0.size", "is big")]))
    assert body["error"]["details"] == [
        {"field": "email", "message": "is none"},
        {"field": "items.0.size", "message": "is big"},
    ]


def test_fields_are_spelt_as_the_document_does() -> None:
    _, body = rendered(InvalidProfile("`first_name` is too long.", field="first_name"))
    assert body["error"]["message"] == "`firstName` is too long."
    assert body["error"]["details"] == [{"field": "firstName", "message": "`firstName` is too long."}]


def test_how_long_to_wait_is_a_header() -> None:
    answer, _ = rendered(RateLimited("x", retry_after=1.2))
    assert (b"retry-after", b"2") in answer.headers
