"""Encryption of secrets that must be recoverable: signing keys, upstream keys, links in queued mail.

Fernet (AES-128-CBC with HMAC-SHA256, https://github.com/fernet/spec): a stolen database alone tells nothing.
"""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.foundation.places import needed


class SecretKeyInvalid(DomainError):
    """An encryption key is not a Fernet key."""

    code = "secret_key_invalid"
    kind = ErrorKind.INTERNAL


class SecretUnreadable(DomainError):
    """A stored secret was not encrypted with any of the keys at hand, or was altered."""

    code = "secret_unreadable"
    kind = ErrorKind.INTERNAL


class SecretBox:
    """Encrypts with the first key, decrypts with any: put a new key first to rotate."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Raises `SecretKeyInvalid`."""
        if not keys:
            raise SecretKeyInvalid("No encryption key was given. Set security.encryption_key, or let one be generated.")
        self._fernet = MultiFernet([_fernet(key, position) for position, key in enumerate(keys, start=1)])

    def encrypt(self, secret: str) -> str:
        """The secret as text that only the keys can read."""
        return self._fernet.encrypt(secret.encode()).decode()

    def decrypt(self, sealed: str) -> str:
        """The secret again. Raises `SecretUnreadable`."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken as error:
            raise SecretUnreadable(_UNREADABLE) from error

    def can_read(self, sealed: str) -> bool:
        """Whether one of the keys at hand decrypts it."""
        try:
            self._fernet.decrypt(sealed)
        except InvalidToken:
            return False
        return True

    def rotate(self, sealed: str) -> str:
        """The same secret, encrypted anew with the first key. Raises `SecretUnreadable`."""
        try:
            return self._fernet.rotate(sealed).decode()
        except InvalidToken as error:
            raise SecretUnreadable(_UNREADABLE) from error


_UNREADABLE = (
    "A stored secret cannot be decrypted: it was altered, or its encryption key is missing. "
    "Put the key that was used before behind the new one in security.encryption_key. If that key is lost, "
    "`cloudyard keys discard-unreadable` shows what was encrypted with it, and discards that."
)


def open_secret_box(setting: str | None, path: Path) -> SecretBox:
    """The box for the setting (keys separated by commas, newest first), or else for the key file at `path`.

    Raises `SecretKeyInvalid` or `PlaceUnusable`.
    """
    if setting is not None:
        return SecretBox([key.strip() for key in setting.split(",") if key.strip()])
    return SecretBox([load_or_create_key(path)])


def load_or_create_key(path: Path) -> str:
    """The key in a file; a new one, readable by the owner alone, where there is no file yet.

    Processes that start together agree on one key: the file appears whole or not at all.
    Raises `PlaceUnusable`.
    """
    with needed(path, named_by="--data-dir"):
        if not path.exists():
            _create(path, Fernet.generate_key())
        return path.read_text(encoding="utf-8", errors="replace").strip()  # what is no text is refused as a key


def _create(path: Path, key: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        _publish(draft, path)
    finally:
        draft.unlink()


def _publish(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return  # another process was first: its key is the one


def _fernet(key: str, position: int) -> Fernet:
    try:
        return Fernet(key)
    except ValueError as error:
        raise SecretKeyInvalid(
            f"Encryption key number {position} is not a Fernet key (32 bytes in URL-safe base64). "
            "Generate one with `python -c 'from cryptography.fernet import Fernet; "
            "print(Fernet.generate_key().decode())'`."
        ) from error
