"""Files on a real database and a real disk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloudyard.backends.objects import LocalObjects
from cloudyard.domains.files import FileReconciler, Files
from cloudyard.foundation.database import Database
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.settings.files import FileSettings
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.files import Left


@pytest.fixture
def settings() -> FileSettings:
    return FileSettings(max_file_bytes=3_000_000, user_quota_bytes=10_000_000)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
async def objects(directory: Path, ids: SystemIds) -> AsyncIterator[LocalObjects]:
    store = LocalObjects(directory, ids)
    yield store
    await store.close()


@pytest.fixture
def files(
    database: Database, clock: ManualClock, ids: SystemIds, objects: LocalObjects, settings: FileSettings
) -> Files:
    return Files(database, clock, ids, objects, settings)


@pytest.fixture
def reconciler(database: Database, clock: ManualClock, objects: LocalObjects) -> FileReconciler:
    return FileReconciler(database, clock, objects)


@pytest.fixture
def left(database: Database, directory: Path) -> Left:
    return Left(database, directory)
