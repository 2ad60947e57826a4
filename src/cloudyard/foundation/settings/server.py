"""Where the server listens and how it behaves towards browsers and proxies."""

from ipaddress import ip_network

from pydantic import Field, field_validator

from cloudyard.foundation.settings.area import Area
from cloudyard.foundation.urls import is_base


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
    public_url: str | None = Field(
        None,
        description="Base URL that users reach, `https://...` or `http://...`; links in mails start with it.",
    )
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

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, value: str | None) -> str | None:
        if value is not None and not is_base(value):
            raise ValueError(f"{value!r} must be an http or https URL with a host, and without query and fragment")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _trusted_proxies(cls, value: list[str]) -> list[str]:
        for address in value:
            ip_network(address, strict=False)
        return value
