"""What the URL of a database must be."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from cloudyard.foundation.errors import DomainError, ErrorKind

SQLITE = "sqlite"
POSTGRESQL = ("postgresql", "postgres")
ADVICE = "Set database.url to sqlite:///path or postgresql://user:password@host/name, or leave it out."


class DatabaseUrlInvalid(DomainError):
    """The URL of the database names none that can be used."""

    code = "database_url_invalid"
    kind = ErrorKind.INTERNAL


def database_address(url: str) -> URL:
    """The URL of a SQLite file or a PostgreSQL database. Raises `DatabaseUrlInvalid`.

    A database in memory is refused: connections cannot share it.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # its words are left out: the URL may hold a password
        raise DatabaseUrlInvalid(f"The database URL cannot be read. {ADVICE}") from error
    kind = parsed.get_backend_name()
    if kind == SQLITE and _in_memory(parsed):
        raise DatabaseUrlInvalid("A SQLite database needs a file: give its path, as in sqlite:///data/cloudyard.db.")
    if kind != SQLITE and kind not in POSTGRESQL:
        raise DatabaseUrlInvalid(f"A {kind} database cannot be used. {ADVICE}")
    return parsed


def is_sqlite(address: URL) -> bool:
    """Whether it is a SQLite file."""
    return address.get_backend_name() == SQLITE


def _in_memory(parsed: URL) -> bool:
    return not parsed.database or parsed.database == ":memory:" or parsed.query.get("mode") == "memory"
