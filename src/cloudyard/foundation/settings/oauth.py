"""Applications that users let in through OAuth."""

from pydantic import Field

from cloudyard.foundation.settings.area import Area


class OAuthSettings(Area):
    """Applications that users let in through OAuth (for MCP)."""

    registration: bool = Field(
        True, description="Let applications register themselves (RFC 7591); else only those with a metadata document."
    )
    allowed_networks: list[str] = Field(
        default_factory=list,
        description="Networks beyond the public internet from which metadata documents of applications are read.",
    )
