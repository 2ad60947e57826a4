"""Python client of a Cloudyard installation.

    from cloudyard_client import Cloudyard

    client = Cloudyard("http://127.0.0.1:8000", api_key="...")

It is the client of `smartaihub` at the installation's own address. All names of `smartaihub` are here too.
"""

from typing import ClassVar

import smartaihub
from smartaihub import *  # noqa: F403 - its public names are this package's


class Cloudyard(smartaihub.SmartAIHubClient):
    """A client of the installation at `base_url`, e.g. http://127.0.0.1:8000."""

    path: ClassVar[str] = "/aihub"


class AsyncCloudyard(smartaihub.AsyncSmartAIHubClient):
    """The same for asyncio."""

    path: ClassVar[str] = "/aihub"


__all__ = ["AsyncCloudyard", "Cloudyard"]
__all__ += smartaihub.__all__
