"""Which database holds everything."""

from pydantic import Field

from cloudyard.foundation.settings.area import Area


class DatabaseSettings(Area):
    """SQLite on one machine, PostgreSQL for more."""

    url: str | None = Field(
        None, description="`sqlite:///path` or `postgresql://user:password@host/name`; default: a file in data_dir."
    )
    pool_size: int = Field(10, gt=0, description="Open connections a process keeps.")
    silence_seconds: float | None = Field(
        35,
        gt=30,
        description="Longest silence of PostgreSQL; it ends a statement after 30 s by itself.",
    )
