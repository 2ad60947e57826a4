"""How notices are pushed to browsers."""

from ipaddress import ip_network

from pydantic import Field, field_validator

from cloudyard.foundation.settings.area import Area


class PushSettings(Area):
    """Web push. Users name the push services of their browsers, so these settings are apart from those of webhooks."""

    contact: str | None = Field(
        None,
        pattern=r"^(mailto:[^@\s]+@[^@\s]+|https://\S+)$",
        description="`mailto:` or `https:` address at which a push service reaches you; some take nothing without. "
        "Default: admin_email, else server.public_url if it is https.",
    )
    allow_loopback: bool = Field(False, description="Let pushes go to this machine itself, and over http.")
    allowed_networks: list[str] = Field(
        default_factory=list,
        description="Private networks with push services of your own, e.g. `10.1.0.0/16`. By default none.",
    )
    ttl_seconds: int = Field(
        86400,
        gt=0,
        le=28 * 86400,
        description="How long a push waits for a browser, and is tried, before it is dropped.",
    )
    timeout_seconds: float = Field(10, gt=0, description="How long a push service may take to answer.")

    @field_validator("allowed_networks")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for network in value:
            ip_network(network)
        return value
