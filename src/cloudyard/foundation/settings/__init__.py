"""Settings: one file an area, read from the environment and from `cloudyard.toml`."""

from cloudyard.foundation.settings.root import Profile, Settings, load_settings

__all__ = ["Profile", "Settings", "load_settings"]
