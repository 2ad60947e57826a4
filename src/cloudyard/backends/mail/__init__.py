"""Backends of the identity domain's `Mailer` port."""

from pathlib import Path

from cloudyard.backends.mail.absent import AbsentMailer
from cloudyard.backends.mail.file_outbox import FileMailer
from cloudyard.domains.identity import Mailer
from cloudyard.foundation.errors import FeatureUnavailable
from cloudyard.foundation.settings.mail import MailBackend, MailSettings


def open_mailer(backend: MailBackend, settings: MailSettings, folder: Path) -> Mailer:
    """The mailer of that name; `folder` is where the file outbox writes.

    Raises `FeatureUnavailable` if SMTP is asked for and its extra is missing.
    """
    if backend == "none":
        return AbsentMailer()
    if backend == "file":
        return FileMailer(folder, sender=settings.sender)
    try:
        from cloudyard.backends.mail.smtp import SmtpMailer  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise FeatureUnavailable(
            f"mail.backend is smtp, but its library is missing ({error}). Install it: pip install 'cloudyard[smtp]'."
        ) from error
    return SmtpMailer(settings)
