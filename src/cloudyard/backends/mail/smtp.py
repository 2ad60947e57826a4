"""Mail through an SMTP server (RFC 5321), by aiosmtplib (the extra `smtp`)."""

import aiosmtplib

from cloudyard.backends.mail.message import internet_message
from cloudyard.domains.identity import Mail, MailRefused, MailUnavailable, MailUncertain
from cloudyard.foundation.settings.mail import MailSettings

PING_SECONDS = 2.0
FIRST_PERMANENT_CODE = 500  # RFC 5321, section 4.2.1: 4yz may succeed later, 5yz never will


class SmtpMailer:
    """Hands each mail to one SMTP server, over a connection of its own."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings

    async def send(self, mail: Mail) -> None:
        """Send it.

        Raises `MailRefused` if the server refuses the recipient or the content for good, else `MailUnavailable`:
        an unreachable server or a refused login is mended in the settings, and the mail is still wanted then. It is
        `MailUncertain` if the server fell silent in mid-conversation.
        """
        settings = self._settings
        password = settings.smtp_password
        try:
            await aiosmtplib.send(
                internet_message(mail, settings.sender),
                hostname=settings.smtp_host,
                port=settings.smtp_port,
                username=settings.smtp_user,
                password=password.get_secret_value() if password else None,
                use_tls=settings.smtp_tls == "tls",
                start_tls=settings.smtp_tls == "starttls",
                timeout=settings.timeout_seconds,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            refusal = error.recipients[0]
            raise self._failure(
                refusal.code, refusal.message, permanent=refusal.code >= FIRST_PERMANENT_CODE
            ) from error
        except aiosmtplib.SMTPDataError as error:
            raise self._failure(error.code, error.message, permanent=error.code >= FIRST_PERMANENT_CODE) from error
        except aiosmtplib.SMTPConnectError as error:
            raise self._failure(None, str(error), permanent=False) from error
        except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError) as error:
            raise MailUncertain(
                f"The mail server {settings.smtp_host}:{settings.smtp_port} fell silent ({error}), so the mail "
                "may have been sent or not. Look into the server's log."
            ) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise self._failure(None, str(error), permanent=False) from error

    async def ping(self) -> None:
        """Connect, greet and leave again. Raises `MailUnavailable`."""
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            use_tls=settings.smtp_tls == "tls",
            start_tls=settings.smtp_tls == "starttls",
            timeout=min(settings.timeout_seconds, PING_SECONDS),
        )
        try:
            async with client:
                await client.noop()
        except (aiosmtplib.SMTPException, OSError) as error:
            server = f"{settings.smtp_host}:{settings.smtp_port}"
            raise MailUnavailable(
                f"The mail server {server} does not answer ({error}). Check the settings of `mail`; mails wait."
            ) from error
        finally:
            client.close()  # a connection that failed half-way is left open otherwise

    def _failure(self, code: int | None, reason: str, *, permanent: bool) -> MailRefused | MailUnavailable:
        server = f"{self._settings.smtp_host}:{self._settings.smtp_port}"
        answer = f"{code} {reason}" if code is not None else reason
        if permanent:
            return MailRefused(f"The mail server {server} refused the mail for good ({answer}). Check the address.")
        return MailUnavailable(
            f"The mail server {server} did not take the mail ({answer}). Check the settings of `mail`; "
            "it is tried again."
        )
