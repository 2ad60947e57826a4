"""Backends of the `LimitStore` port."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cloudyard.backends.limits.memory import MemoryLimits
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.errors import FeatureUnavailable
from cloudyard.foundation.limiting import LimitStore
from cloudyard.foundation.settings.limits import LimitSettings


@asynccontextmanager
async def open_limit_store(settings: LimitSettings, clock: Clock) -> AsyncIterator[LimitStore]:
    """The store that the settings name. Raises `FeatureUnavailable` if its extra is missing."""
    if settings.backend == "memory":
        yield MemoryLimits(clock)
        return
    try:
        from cloudyard.backends.limits.valkey import ValkeyLimits  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise FeatureUnavailable(
            f"limits.backend is valkey, but its library is missing ({error}). "
            "Install it: pip install 'cloudyard[valkey]'."
        ) from error
    store = ValkeyLimits(settings.valkey_url, clock)
    try:
        yield store
    finally:
        await store.close()
