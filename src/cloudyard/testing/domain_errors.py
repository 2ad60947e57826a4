"""Every failure that a surface may have to show."""

import importlib
import pkgutil
from collections.abc import Iterator

import cloudyard.domains
import cloudyard.foundation
import cloudyard.web
from cloudyard.foundation.errors import DomainError

PACKAGES = (cloudyard.foundation, cloudyard.domains, cloudyard.web)


def every_domain_error() -> list[type[DomainError]]:
    """All classes of failures in foundation, domains and web, in the order of their names."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    shown = tuple(f"{package.__name__}." for package in PACKAGES)
    found = {error for error in _below(DomainError) if error.__module__.startswith(shown)}
    return sorted(found, key=lambda error: f"{error.__module__}.{error.__name__}")


def _below(error: type[DomainError]) -> Iterator[type[DomainError]]:
    yield error
    for inner in error.__subclasses__():
        yield from _below(inner)
