"""A shop over each database."""

from collections.abc import AsyncIterator, Iterator

import pytest
from shop import Shop, open_shop

from cloudyard.foundation.database import Database
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.local_stripe import local_stripe


@pytest.fixture(scope="session")
def stripe_url() -> Iterator[str]:
    with local_stripe() as url:
        yield url


@pytest.fixture
async def shop(database: Database, clock: ManualClock, stripe_url: str) -> AsyncIterator[Shop]:
    shop = open_shop(database, clock, stripe_url)
    yield shop
    await shop.provider.close()
    shop.stripe.close()
