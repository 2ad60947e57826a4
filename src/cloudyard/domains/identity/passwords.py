"""Passwords: which are accepted, and their Argon2id hashes (RFC 9106)."""

import asyncio
import unicodedata

from pwdlib import PasswordHash

from cloudyard.domains.identity.errors import WeakPassword

LONGEST_PASSWORD = 256
NO_PASSWORD = ""
"""Stands in the place of the hash of who signs in through somebody else: no password is right."""
UNUSABLE = ("Cc", "Cs")  # control characters and halves of characters
HASHES_AT_ONCE = 2  # each takes 64 MiB and a core; more at once would starve the requests beside them


class Passwords:
    """Hashes and checks passwords in a thread, a few at once, so that a rush of logins neither blocks nor swells."""

    def __init__(self, *, min_length: int, hasher: PasswordHash | None = None) -> None:
        self._min_length = min_length
        self._hasher = hasher or PasswordHash.recommended()
        self._turns = asyncio.Semaphore(HASHES_AT_ONCE)
        self._nobodys_hash = self._hasher.hash("nobody has this password")

    def check(self, password: str, *, email: str, field: str = "password") -> None:
        """Raise `WeakPassword` unless the password may be chosen by the owner of that address.

        Length counts, not composition (NIST SP 800-63B, section 3.1.1.2).
        """
        if len(password) < self._min_length:
            raise WeakPassword(
                f"The password is too short: choose one of at least {self._min_length} characters.", field=field
            )
        if len(password) > LONGEST_PASSWORD:
            raise WeakPassword(
                f"The password is too long: choose one of at most {LONGEST_PASSWORD} characters.", field=field
            )
        if any(unicodedata.category(character) in UNUSABLE for character in password):
            raise WeakPassword("The password has control characters or broken text in it: leave them out.", field=field)
        if password.casefold() == email.casefold():
            raise WeakPassword("The password is the e-mail address: choose another.", field=field)

    async def hash(self, password: str) -> str:
        """The Argon2id hash of a checked password, with its own salt."""
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, _typed_alike(password))

    async def verify(self, password: str, password_hash: str | None) -> tuple[bool, str | None]:
        """Whether the password is right, and a new hash where the stored one was made with older parameters.

        Without a hash (an unknown user, or one without a password) the answer is no, after the same work.
        """
        if len(password) > LONGEST_PASSWORD:
            password, password_hash = "", None
        known = password_hash or self._nobodys_hash
        async with self._turns:
            right, renewed = await asyncio.to_thread(self._hasher.verify_and_update, _typed_alike(password), known)
        return (right, renewed) if password_hash else (False, None)


def require_mixed_characters(password: str, *, field: str = "password") -> None:
    """Raise `WeakPassword` unless there is an upper and a lower letter, a digit and a symbol.

    For surfaces whose document asks for it (NeuroGrid, register).
    """
    kinds = {
        "an upper-case letter": any(c.isupper() for c in password),
        "a lower-case letter": any(c.islower() for c in password),
        "a digit": any(c.isdigit() for c in password),
        "a symbol": any(not c.isalnum() and not c.isspace() for c in password),
    }
    missing = [kind for kind, present in kinds.items() if not present]
    if missing:
        raise WeakPassword(f"The password lacks {', '.join(missing)}: add what is missing.", field=field)


def _typed_alike(password: str) -> bytes:
    """The same bytes however a keyboard composes the characters (NIST SP 800-63B: NFKC)."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
