"""What identity needs from outside."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail to one recipient. `id` and `created_at` stay the same when it is sent again after a failure."""

    id: str
    to: str
    subject: str
    text: str
    html: str
    created_at: datetime


class Mailer(Protocol):
    """Something that sends mail."""

    async def send(self, mail: Mail) -> None:
        """Hand the mail over. Raises `MailRefused` (for good) or `MailUnavailable` (try again later)."""
        ...

    async def ping(self) -> None:
        """Prove that mail can be handed over, at little cost. Raises `MailUnavailable`."""
        ...
