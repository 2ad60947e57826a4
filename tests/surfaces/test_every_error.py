"""Every failure of the core has a status and a body on every surface."""

from http import HTTPStatus

import msgspec
import pytest

from cloudyard.domains.ledger import InsufficientCredits
from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.surfaces.aihub import AihubErrors
from cloudyard.surfaces.neurogrid import NeurogridErrors
from cloudyard.surfaces.oauth import OAuthErrors
from cloudyard.surfaces.openai import OpenAIErrors
from cloudyard.surfaces.pynode import PynodeErrors
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.errors import every_error
from cloudyard.web.errors import STATUS_OF_CODE, STATUS_OF_KIND, ErrorRenderer, ProblemRenderer

RENDERERS: list[ErrorRenderer] = [
    ProblemRenderer(),
    OpenAIErrors(),
    PynodeErrors(),
    AihubErrors(ManualClock()),
    NeurogridErrors(ManualClock()),
    OAuthErrors(),
]
MESSAGE = "What happened, why, and what to do next."


def test_every_kind_has_a_status() -> None:
    assert set(STATUS_OF_KIND) == set(ErrorKind)


def test_no_two_failures_share_a_code_without_being_kin() -> None:
    by_code: dict[str, list[type[DomainError]]] = {}
    for error in every_error():
        by_code.setdefault(error.code, []).append(error)
    for errors in by_code.values():
        assert {error.kind for error in errors} == {errors[0].kind}, errors


@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda renderer: type(renderer).__name__)
def test_no_surface_speaks_of_nano_dollars(renderer: ErrorRenderer) -> None:
    error = InsufficientCredits(MESSAGE, details={"available_nanos": 12_345_678, "needed_nanos": 3_000_000_000})
    body = renderer.render(error, "req-1").body
    assert b"nano" not in body


def test_amounts_are_shown_in_dollars_where_details_are_shown() -> None:
    error = InsufficientCredits(MESSAGE, details={"available_nanos": 12_345_678, "needed_nanos": 3_000_000_000})
    for renderer in (ProblemRenderer(), PynodeErrors(), NeurogridErrors(ManualClock())):
        details = msgspec.json.decode(renderer.render(error, "req-1").body)["details"]
        assert details == {"available_usd": 0.012345678, "needed_usd": 3}


@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda renderer: type(renderer).__name__)
def test_every_failure_is_rendered(renderer: ErrorRenderer) -> None:
    errors = every_error()
    assert len(errors) > 50
    for error in errors:
        rendered = renderer.render(error(MESSAGE), "req-1")
        assert rendered.status in set(HTTPStatus), error
        assert 400 <= rendered.status < 600, error
        usual = STATUS_OF_CODE.get(error.code, STATUS_OF_KIND[error.kind])
        assert (rendered.status >= 500) == (usual >= 500), error
        assert msgspec.json.decode(rendered.body), error
        if error.kind is ErrorKind.UNAUTHENTICATED:
            assert rendered.status == 401, error
