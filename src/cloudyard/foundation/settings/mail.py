"""How mail leaves."""

from typing import Literal

from pydantic import Field, SecretStr

from cloudyard.foundation.settings.area import Area

MailBackend = Literal["none", "file", "smtp"]


class MailSettings(Area):
    """Mail. Without any, nobody can be sent a link: passwords cannot be reset, addresses not be verified."""

    backend: MailBackend | None = Field(
        None,
        description="`smtp` sends, `file` writes .eml files below data_dir/mail, `none` does without; "
        "default: `none`, in development `file`.",
    )
    sender: str = Field("Cloudyard <noreply@localhost>", description="From address.")
    smtp_host: str = Field("127.0.0.1", description="SMTP server.")
    smtp_port: int = Field(587, description="SMTP port.")
    smtp_user: str | None = Field(None, description="SMTP user, if the server wants one.")
    smtp_password: SecretStr | None = Field(None, description="SMTP password.")
    smtp_tls: Literal["none", "starttls", "tls"] = Field("starttls", description="Transport security.")
    timeout_seconds: float = Field(15, gt=0, description="Give up on the SMTP server after this long.")
