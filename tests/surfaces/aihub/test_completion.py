"""What is told of a completion that broke off."""

import pytest
from structlog.testing import capture_logs

from cloudyard.domains.inference import ProviderUnavailable
from cloudyard.foundation.database import DatabaseUnavailable
from cloudyard.foundation.errors import DomainError
from cloudyard.surfaces.aihub.completion import Completion
from cloudyard.surfaces.aihub.errors import AihubErrors
from cloudyard.surfaces.aihub.schemas import Meta
from cloudyard.testing.broken_streams import MODEL, broken_stream
from cloudyard.testing.clock import ManualClock


@pytest.fixture
def completion(clock: ManualClock) -> Completion:
    return Completion(Meta(timestamp="now", request_id="req-1", version="1"), AihubErrors(clock))


@pytest.mark.parametrize("failure", [ProviderUnavailable, DatabaseUnavailable])
async def test_what_is_for_operators_is_logged_once_and_not_told(
    completion: Completion, failure: type[DomainError]
) -> None:
    stream = broken_stream(failure("It is away.", for_operators="at 10.0.0.7"))
    with capture_logs() as logs:
        told = b"".join([piece async for piece in completion.events(stream)])
    assert b"As far as" in told and b"It is away." in told and b"10.0.0.7" not in told
    [withheld] = [entry for entry in logs if "10.0.0.7" in repr(entry)]
    assert (withheld["code"], withheld["model"]) == (failure.code, MODEL)
