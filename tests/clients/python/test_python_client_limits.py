"""A server that limits its callers."""

from collections.abc import Iterator

import pytest
from client_people import new_person
from smartaihub import RateLimitError, RetryPolicy
from twins import Client, done, inside

from cloudyard.entrypoints.application import build_application
from cloudyard.foundation.settings import Settings
from cloudyard.testing.installation import Installation, installation


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation that counts."""
    with installation(Settings(data_dir=tmp_path_factory.mktemp("strict")), build_application) as running:
        yield running


async def test_too_many_requests_say_when_to_come_back(twin: type[Client], strict: Installation) -> None:
    person, keys = new_person(strict), strict.services.api_keys
    _, secret = strict.run(keys.create(person.id, name="limited", requests_per_minute=1))
    impatient = RetryPolicy(longest_retry_after=0)
    async with inside(twin(strict.url, secret, retries=impatient)) as client:
        await done(client.credits.balance())
        with pytest.raises(RateLimitError) as refused:
            await done(client.credits.balance())
    assert (refused.value.status, refused.value.code) == (429, "RATE_LIMIT_EXCEEDED")
    assert refused.value.retry_after is not None
    assert 1 <= refused.value.retry_after <= 60
