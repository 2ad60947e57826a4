"""Backends of the `FanOut` port."""

from cloudyard.backends.fan_out.memory import MemoryFanOut
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.errors import FeatureUnavailable
from cloudyard.foundation.fan_out import FanOut
from cloudyard.foundation.settings.limits import LimitSettings


def open_fan_out(settings: LimitSettings, clock: Clock) -> FanOut:
    """Fan-out where limits are counted: in this process, or in Valkey for all. Raises `FeatureUnavailable`."""
    if settings.backend == "memory":
        return MemoryFanOut()
    try:
        from cloudyard.backends.fan_out.valkey import ValkeyFanOut  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise FeatureUnavailable(
            f"limits.backend is valkey, but its library is missing ({error}). "
            "Install it: pip install 'cloudyard[valkey]'."
        ) from error
    return ValkeyFanOut(settings.valkey_url, clock)
