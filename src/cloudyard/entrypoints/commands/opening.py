"""Opening the services for a command, on a database that is there and up to date."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cloudyard.foundation.database.address import database_address, is_sqlite
from cloudyard.foundation.database.sqlite import NAMED_BY
from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.foundation.places import needed
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.settings.telemetry import TelemetrySettings
from cloudyard.foundation.telemetry import configure_logging
from cloudyard.migrations.upgrade import is_current
from cloudyard.wiring import Services, open_services


class DatabaseNotReady(DomainError):
    """A command was called before its database was made."""

    code = "database_not_ready"
    kind = ErrorKind.UNAVAILABLE


@asynccontextmanager
async def services_of(settings: Settings, *, load: bool = True, patient: bool = False) -> AsyncIterator[Services]:
    """The services, with prices and catalogue loaded unless that is not wanted. A `patient` command waits for its
    database as long as that takes.

    Raises `DatabaseNotReady`, `DatabaseUrlInvalid`, what `open_services` raises, and on loading `SecretUnreadable`.
    """
    configure_logging(TelemetrySettings(log_level="warning", log_format="console"))
    _require_file(settings)
    async with open_services(_without_limit(settings) if patient else settings) as services:
        if not await is_current(services.database):
            raise _not_ready(settings, "is of another version of Cloudyard, or still empty")
        if load:
            await services.load()
        yield services


def _without_limit(settings: Settings) -> Settings:
    return settings.model_copy(update={"database": settings.database.model_copy(update={"silence_seconds": None})})


def _require_file(settings: Settings) -> None:
    """A wrong --data-dir must not leave an empty database behind."""
    address = database_address(settings.database_url)
    if not is_sqlite(address):
        return
    file = Path(address.database or "")
    with needed(file, named_by=NAMED_BY):
        there = file.exists()
    if not there:
        raise _not_ready(settings, "does not exist")


def _not_ready(settings: Settings, what: str) -> DatabaseNotReady:
    shown = database_address(settings.database_url).render_as_string(hide_password=True)
    return DatabaseNotReady(
        f"The database {shown} {what}. Name the right folder with --data-dir, or run `cloudyard database migrate`."
    )
