"""Ledger and billing over each database."""

import pytest

from cloudyard.foundation.database import Database
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.factories import Books, open_books


@pytest.fixture
def books(database: Database, clock: ManualClock, ids: SystemIds) -> Books:
    return open_books(database, clock, ids)
