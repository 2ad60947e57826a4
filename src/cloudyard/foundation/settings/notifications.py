"""How users are told things."""

from pydantic import Field

from cloudyard.foundation.settings.area import Area


class NotificationSettings(Area):
    """Notices to users, in the application and by e-mail."""

    digest_seconds: float = Field(
        120, ge=0, description="Notices to one user within this time go into one e-mail, sent when it ends."
    )
    keep_days: int = Field(90, ge=7, description="Days after which notifications are forgotten.")
