"""What is told of a completion that broke off."""

import pytest

from cloudyard.domains.inference import ProviderUnavailable
from cloudyard.foundation.database import DatabaseUnavailable
from cloudyard.foundation.errors import DomainError
from cloudyard.surfaces.aihub.completion import Completion
from cloudyard.surfaces.aihub.errors import AihubErrors
from cloudyard.surfaces.aihub.schemas import Meta
from cloudyard.testing.broken_streams import check_withheld
from cloudyard.testing.clock import ManualClock


@pytest.fixture
def completion(clock: ManualClock) -> Completion:
    return Completion(Meta(timestamp="now", request_id="req-1", version="1"), AihubErrors(clock))


@pytest.mark.parametrize("failure", [ProviderUnavailable, DatabaseUnavailable])
async def test_what_is_for_operators_is_logged_once_and_not_told(
    completion: Completion, failure: type[DomainError]
) -> None:
    await check_withheld(failure, completion.events)
