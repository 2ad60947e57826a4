"""What can go wrong with a migration."""

from cloudyard.foundation.errors import DomainError, ErrorKind


class MigrationFailed(DomainError):
    """The database could not be brought up to date; it is as it was before."""

    code = "migration_failed"
    kind = ErrorKind.UNAVAILABLE


def failed(reason: object) -> MigrationFailed:
    """The failure, told to whoever starts the server."""
    return MigrationFailed(
        f"The database could not be brought up to date: {reason}. Nothing was changed and the server does not "
        "start. Restore the version that wrote this database, or mend the cause and start again."
    )
