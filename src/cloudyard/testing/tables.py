"""All tables at once, for tests that need no migration history."""

import importlib
import pkgutil

import cloudyard.domains
from cloudyard.foundation.database import Database, metadata


def load_models() -> None:
    """Import every domain's tables, so that the metadata is complete."""
    for domain in pkgutil.iter_modules(cloudyard.domains.__path__):
        package = importlib.import_module(f"cloudyard.domains.{domain.name}")
        for module in pkgutil.iter_modules(package.__path__):
            if module.name == "models":
                importlib.import_module(f"{package.__name__}.models")


async def create_tables(database: Database) -> None:
    """Create every table in an empty database."""
    load_models()
    await database.run(metadata.create_all)
