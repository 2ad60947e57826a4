"""The database: SQLite or PostgreSQL behind one unit of work."""

from cloudyard.foundation.database.address import DatabaseUrlInvalid
from cloudyard.foundation.database.engine import Database
from cloudyard.foundation.database.errors import DatabaseUnavailable
from cloudyard.foundation.database.group_commit import GroupCommit, UnderWay, at_once
from cloudyard.foundation.database.schema import UtcDateTime, append_only, metadata
from cloudyard.foundation.database.transaction import Transaction

__all__ = [
    "Database",
    "DatabaseUnavailable",
    "DatabaseUrlInvalid",
    "GroupCommit",
    "Transaction",
    "UnderWay",
    "UtcDateTime",
    "append_only",
    "at_once",
    "metadata",
]
