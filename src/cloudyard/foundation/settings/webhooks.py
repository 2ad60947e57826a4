"""Where webhooks may go and how hard they are tried."""

from ipaddress import ip_network

from pydantic import Field, field_validator

from cloudyard.foundation.settings.area import Area


class WebhookSettings(Area):
    """Webhooks."""

    allow_loopback: bool | None = Field(
        None, description="Let webhooks go to this machine itself, and over http; default: in development only."
    )
    allowed_networks: list[str] = Field(
        default_factory=list,
        description="Private networks that webhooks may go to all the same, e.g. `10.1.0.0/16`. By default none.",
    )
    timeout_seconds: float = Field(15, gt=0, description="How long a receiver may take to answer.")
    deliveries_at_once: int = Field(8, gt=0, le=64, description="Deliveries under way to one endpoint at a time.")

    @field_validator("allowed_networks")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for network in value:
            ip_network(network)
        return value
