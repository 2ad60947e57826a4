"""What can go wrong with the database itself."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cloudyard.foundation.errors import DomainError, ErrorKind

RETRY_SECONDS = 1.0

_SQLITE_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
_SQLITE_PRIMARY_CODE = 0xFF

_POSTGRES_UNAVAILABLE = (
    "08",  # connection exception
    "25006",  # read-only: the server became a standby
    "25P03",  # idle in transaction for too long
    "28",  # invalid authorization
    "3D000",  # no such database
    "40",  # transaction rollback: deadlock, serialization
    "53",  # insufficient resources: disk, memory, connections
    "55P03",  # lock not available
    "57",  # operator intervention: shutdown, statement timeout
    "58",  # system error
    "XX",  # internal error, corrupted data
)
_POSTGRES_CONFLICTS = ("40001", "40P01")


class DatabaseUnavailable(DomainError):
    """The database cannot be reached, is locked by another process, or its disk is full.

    Nothing was changed, unless the message says that the connection broke during the commit.
    """

    code = "database_unavailable"
    kind = ErrorKind.UNAVAILABLE


@contextmanager
def translated_errors(*, committing: bool = False) -> Iterator[None]:
    """Turn what the database cannot do at the moment into `DatabaseUnavailable`.

    Programming errors and broken constraints pass through. To be put around calls of the database alone, since
    an OSError in there is the connection's.
    """
    try:
        yield
    except (PoolTimeout, OSError, DBAPIError) as error:
        meant = translated(error, committing=committing)
        if meant is error:
            raise
        raise meant from error


def translated(error: Exception, *, committing: bool = False) -> Exception:
    """What an error of the database means, as `translated_errors` raises it."""
    if isinstance(error, TimeoutError):
        meant = _unavailable(in_doubt=committing, reason="it does not answer")
    elif isinstance(error, (PoolTimeout, OSError)):
        meant = _unavailable(in_doubt=committing, for_operators=str(error) or type(error).__name__)
    elif isinstance(error, DBAPIError) and _is_unavailable(error):
        in_doubt = committing and error.connection_invalidated
        if _is_sqlite(error):
            meant = _unavailable(in_doubt=in_doubt, reason=str(error.orig))
        else:  # a server's words name hosts, users and databases
            meant = _unavailable(in_doubt=in_doubt, for_operators=str(error.orig))
    else:
        return error
    meant.__cause__ = error
    return meant


@contextmanager
def turn_awaited() -> Iterator[None]:
    """Turn a turn to write that did not come in time into `DatabaseUnavailable`."""
    try:
        yield
    except TimeoutError as error:
        reason = "the database is locked, or too much is being written"
        raise _unavailable(in_doubt=False, reason=reason) from error


def lost_to_another(error: DatabaseUnavailable) -> bool:
    """Whether PostgreSQL gave up this transaction in favour of another; run again, it may well succeed."""
    cause = error.__cause__
    return isinstance(cause, DBAPIError) and getattr(cause.orig, "sqlstate", None) in _POSTGRES_CONFLICTS


def _is_sqlite(error: DBAPIError) -> bool:
    return hasattr(error.orig, "sqlite_errorcode")


def _is_unavailable(error: DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & _SQLITE_PRIMARY_CODE in _SQLITE_UNAVAILABLE
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_POSTGRES_UNAVAILABLE)
    return isinstance(error, OperationalError)


def _unavailable(*, in_doubt: bool, reason: str | None = None, for_operators: str | None = None) -> DatabaseUnavailable:
    why = f" ({reason})" if reason is not None else ""
    consequence = (
        "The connection broke during the commit, so the change may have been made: look before you repeat it."
        if in_doubt
        else "Nothing was changed; try again shortly."
    )
    return DatabaseUnavailable(
        f"The database cannot be used at the moment{why}. {consequence}",
        retry_after=RETRY_SECONDS,
        for_operators=for_operators,
    )
