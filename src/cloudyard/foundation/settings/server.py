"""Where the server listens and how it behaves towards browsers and proxies."""

from pydantic import Field

from cloudyard.foundation.settings.area import Area


class ServerSettings(Area):
    """The HTTP server."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port of every surface; 0 takes a free one.")
    classic_ports: bool = Field(
        False, description="Also open each document's own port (pynode 3000, neurogrid 3001, aihub 3003)."
    )
    hosts: dict[str, str] = Field(
        default_factory=dict, description="Host name -> surface, for surfaces that have a name of their own."
    )
    public_url: str | None = Field(None, description="Base URL that users reach; links in mails start with it.")
    cors_origins: list[str] | None = Field(
        None,
        description="Origins that browsers may call from; `*` for any (without cookies). "
        "Default: none, in development `http://localhost:3000`.",
    )
    trusted_proxies: list[str] = Field(
        default_factory=list, description="Addresses or networks whose X-Forwarded-For is believed."
    )
    drain_seconds: float = Field(30, ge=0, description="How long running answers may take after a stop was asked for.")
    max_body_bytes: int = Field(4 * 1024 * 1024, gt=0, description="Largest JSON request body, in bytes.")
