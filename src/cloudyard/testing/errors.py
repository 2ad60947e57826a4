"""Every failure that the core knows, for tests that none is left unrendered."""

import importlib
import pkgutil
from collections.abc import Iterator

import cloudyard
from cloudyard.foundation.errors import DomainError

# Command line, migrations and test support render no errors, and the environment of migrations runs when imported.
LEFT_OUT = ("cloudyard.entrypoints", "cloudyard.migrations", "cloudyard.testing")


def every_error() -> list[type[DomainError]]:
    """All subclasses of DomainError, by name. Imports the whole of the core."""
    for module in pkgutil.walk_packages(cloudyard.__path__, "cloudyard."):
        if not module.name.startswith(LEFT_OUT) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = {error for error in _below(DomainError) if error.__module__.startswith("cloudyard.")}
    return sorted(found, key=lambda error: f"{error.__module__}.{error.__name__}")


def _below(error: type[DomainError]) -> Iterator[type[DomainError]]:
    for child in error.__subclasses__():
        yield child
        yield from _below(child)
