"""How connections to PostgreSQL are opened."""

from sqlalchemy import URL, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from cloudyard.foundation.errors import FeatureUnavailable

CONNECT_SECONDS = 10
STATEMENT_TIMEOUT_MS = 30_000


def postgresql_engine(url: URL, pool_size: int, silence_seconds: float | None) -> AsyncEngine:
    """A pool of connections; one that says nothing for `silence_seconds` is given up. A server that works ends a
    statement by itself before, one that hangs or that no packet reaches does not.

    Raises `FeatureUnavailable` if the driver is not installed.
    """
    settings = {
        "application_name": "cloudyard",
        "statement_timeout": str(STATEMENT_TIMEOUT_MS),
        "idle_in_transaction_session_timeout": str(STATEMENT_TIMEOUT_MS),
    }
    try:
        engine = create_async_engine(
            _driver_url(url),
            pool_size=pool_size,
            connect_args={"timeout": CONNECT_SECONDS, "command_timeout": silence_seconds, "server_settings": settings},
        )
    except ModuleNotFoundError as error:
        raise FeatureUnavailable(
            "The database is a PostgreSQL one and its driver is not installed. "
            "Install the extra `postgres`: pip install 'cloudyard[postgres]'."
        ) from error
    event.listen(engine.sync_engine.pool, "checkout", _refuse_closed)
    return engine


def _driver_url(url: URL) -> URL:
    """libpq's word for TLS is `sslmode`, asyncpg's is `ssl`; their values are the same."""
    query = {"ssl" if name == "sslmode" else name: value for name, value in url.query.items()}
    return url.set(drivername="postgresql+asyncpg", query=query)


def _refuse_closed(connection: DBAPIConnection, _entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
    """Have the pool replace a connection that the server has closed: known without asking over the network."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError("closed by the server")
