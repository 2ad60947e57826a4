import json
import re
from datetime import datetime
from typing import Any

import pytest

from cloudyard.domains.identity import EmailTaken, InvalidApiKey, InvalidProfile
from cloudyard.domains.ledger import InsufficientCredits
from cloudyard.foundation.errors import DomainError, FeatureUnavailable
from cloudyard.foundation.limiting import RateLimited
from cloudyard.surfaces.neurogrid.errors import NeurogridErrors
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.errors import every_error
from cloudyard.web.errors import Issue, MalformedRequest, Rendered, UnreadableJson


def rendered(error: DomainError) -> tuple[Rendered, Any]:
    answer = NeurogridErrors(ManualClock()).render(error, "req-1")
    return answer, json.loads(answer.body)


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_failure_has_a_status_and_the_shape(kind: type[DomainError]) -> None:
    answer, body = rendered(kind("What happened."))
    assert 400 <= answer.status < 600
    assert body == {
        "error": kind.code,
        "message": "What happened.",
        "details": {},
        "timestamp": "2026-01-01T00:00:00.000Z",
    }
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", body["error"])
    assert answer.content_type == "application/json"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MalformedRequest("x"), 400),
        (UnreadableJson("x"), 400),
        (EmailTaken("x"), 409),
        (InsufficientCredits("x"), 402),
        (FeatureUnavailable("x"), 503),
        (RateLimited("x"), 429),
        (DomainError("x"), 500),
    ],
)
def test_statuses_of_the_document(error: DomainError, status: int) -> None:
    assert rendered(error)[0].status == status


def test_details_name_the_fields_and_carry_values() -> None:
    _, body = rendered(MalformedRequest("Two faults", [Issue("email", "is none"), Issue("items.0", "is big")]))
    assert body["details"] == {"email": "is none", "items.0": "is big"}
    _, body = rendered(RateLimited("x", details={"limit": 5, "since": datetime(2026, 1, 1)}, field="login"))  # noqa: DTZ001
    assert body["details"] == {"limit": 5, "since": "2026-01-01T00:00:00", "login": "x"}


def test_how_long_to_wait_is_a_header() -> None:
    answer, _ = rendered(RateLimited("x", retry_after=1.2))
    assert (b"retry-after", b"2") in answer.headers


def test_the_name_of_a_person_and_that_of_a_key_are_told_apart() -> None:
    _, body = rendered(InvalidProfile("`name` is too long.", field="name"))
    assert body["message"] == "`full_name` is too long."
    assert body["details"] == {"full_name": "`full_name` is too long."}
    _, body = rendered(InvalidApiKey("`name` is too long.", field="name"))
    assert body["details"] == {"name": "`name` is too long."}
