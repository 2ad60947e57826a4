"""What can go wrong with the database itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cloudyard.foundation.errors import DomainError, ErrorKind

RETRY_SECONDS = 1.0


class DatabaseUnavailable(DomainError):
    """The database cannot be reached, is locked by another process, or its disk is full. Nothing was changed."""

    code = "database_unavailable"
    kind = ErrorKind.UNAVAILABLE


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn the drivers' operational failures into `DatabaseUnavailable`; programming errors pass through."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout, OSError) as error:
        raise _unavailable(error) from error
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> DatabaseUnavailable:
    reason = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    return DatabaseUnavailable(
        f"The database cannot be used at the moment ({reason}). Nothing was changed; try again shortly.",
        retry_after=RETRY_SECONDS,
    )
