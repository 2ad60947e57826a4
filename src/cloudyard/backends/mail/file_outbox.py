"""Mail into a folder, one `.eml` file each: for development, and for who delivers it by other means."""

import asyncio
import os
from pathlib import Path
from tempfile import TemporaryFile

import structlog

from cloudyard.backends.mail.message import internet_message
from cloudyard.domains.identity import Mail, MailUnavailable

log = structlog.get_logger(__name__)


class FileMailer:
    """Writes `<folder>/<UTC time>-<id>.eml`, readable by the owner alone; the log says where."""

    def __init__(self, folder: Path, *, sender: str) -> None:
        self._folder = folder
        self._sender = sender

    async def send(self, mail: Mail) -> None:
        """Write the file; sent twice, it is written twice under one name. Raises `MailUnavailable`."""
        path = self._folder / f"{mail.created_at:%Y%m%dT%H%M%SZ}-{mail.id}.eml"
        content = internet_message(mail, self._sender).as_bytes()
        try:
            await asyncio.to_thread(_write, path, content)
        except OSError as error:
            raise MailUnavailable(
                f"The mail could not be written to {path} ({error}). Check the folder's rights and the disk; "
                "it is tried again."
            ) from error
        log.info("mail written", to=mail.to, subject=mail.subject, file=str(path))

    async def ping(self) -> None:
        """Prove that the folder can be written to. Raises `MailUnavailable`."""
        try:
            await asyncio.to_thread(_probe, self._folder)
        except OSError as error:
            raise MailUnavailable(
                f"Mail cannot be written to {self._folder} ({error}). Check the folder's rights and the disk."
            ) from error


def _probe(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with TemporaryFile(dir=folder) as file:
        file.write(b"probe")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)
