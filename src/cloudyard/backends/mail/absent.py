"""No mail at all: what an installation has until its operator names a mail server."""

from typing import NoReturn

from cloudyard.domains.identity import Mail, MailUnavailable


class AbsentMailer:
    """Sends nothing, and says so. What waited already keeps waiting for a mailer."""

    async def send(self, mail: Mail) -> None:
        """Raises `MailUnavailable`."""
        _refuse()

    async def ping(self) -> None:
        """Raises `MailUnavailable`."""
        _refuse()


def _refuse() -> NoReturn:
    raise MailUnavailable(
        'No mail is configured, so none is sent. Set mail.backend to "smtp" and the settings beside it.'
    )
