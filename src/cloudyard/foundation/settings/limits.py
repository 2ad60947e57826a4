"""Where rate limits are counted."""

from typing import Literal

from pydantic import Field

from cloudyard.foundation.settings.area import Area


class LimitSettings(Area):
    """Rate limits; which limits hold is each surface's policy."""

    backend: Literal["memory", "valkey"] = Field("memory", description="`valkey` shares counts between processes.")
    valkey_url: str = Field("redis://127.0.0.1:6379/0", description="Valkey or Redis server.")
    enabled: bool = Field(True, description="Off only for benchmarks and load tests of your own.")
