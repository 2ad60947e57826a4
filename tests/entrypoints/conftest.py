"""A real server for the tests of what is started from the command line."""

from collections.abc import Iterator

import pytest

from cloudyard.testing.server_process import RunningServer, running_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("served"), "--profile", "development") as server:
        yield server
