"""Which client this is, as requests tell it."""

from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType

DISTRIBUTION = "smartaihub-python"
__version__ = version(DISTRIBUTION)

IDENTITY: Mapping[str, str] = MappingProxyType(
    {"User-Agent": f"{DISTRIBUTION}/{__version__}", "X-Client-Version": __version__}
)
"""X-Client-Version is the document's (Common Headers)."""
