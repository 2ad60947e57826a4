"""The mails that identity sends: what they say, and how they wait in the outbox.

No word that a user wrote goes into a mail, so that nobody can make Cloudyard mail their text to strangers.
"""

from datetime import datetime
from enum import StrEnum
from html import escape

import msgspec

from cloudyard.foundation.durable import Event
from cloudyard.foundation.secret_box import SecretBox

MAIL_REQUESTED = "mail.requested"


class LetterKind(StrEnum):
    """Which mail it is."""

    VERIFY = "verify"
    RESET = "reset"
    ADDRESS_CHANGED = "address_changed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of a mail
    SIGN_IN_ADDED = "sign_in_added"


class Letter(msgspec.Struct, frozen=True):
    """A mail to be written. `to` is None for a decoy, which is thrown away: there was nobody to send it to."""

    kind: LetterKind
    to: str | None
    link: str | None = None
    expires_at: datetime | None = None


def letter_event(box: SecretBox, subject: str, letter: Letter) -> Event:
    """The outbox event that asks for a letter; encrypted, since its link is as good as a password."""
    return Event(MAIL_REQUESTED, subject, {"sealed": box.encrypt(msgspec.json.encode(letter).decode())})


def unseal(box: SecretBox, sealed: str) -> Letter:
    """The letter of an event again. Raises `SecretUnreadable`."""
    return msgspec.json.decode(box.decrypt(sealed), type=Letter)


class _Words(msgspec.Struct, frozen=True):
    subject: str
    before: str
    after: str


_IGNORE = "If this was not you, ignore this mail: nothing has changed."
_ACT = "If this was not you, ask for a new password at once and tell your administrator."

_WORDS = {
    LetterKind.VERIFY: _Words(
        "Verify your e-mail address",
        "Welcome to Cloudyard. Open this link to verify your e-mail address:",
        "If you have no account here, ignore this mail.",
    ),
    LetterKind.RESET: _Words(
        "Choose a new password",
        "Somebody asked for a new password for your Cloudyard account. Open this link to choose one:",
        _IGNORE,
    ),
    LetterKind.ADDRESS_CHANGED: _Words(
        "Your e-mail address was changed",
        "Your Cloudyard account has another e-mail address now; this one is no longer used.",
        _ACT,
    ),
    LetterKind.PASSWORD_CHANGED: _Words(
        "Your password was changed",
        "The password of your Cloudyard account was changed, and its other sessions were ended.",
        _ACT,
    ),
    LetterKind.SIGN_IN_ADDED: _Words(
        "There is another way to sign in",
        "Somebody with this e-mail address signed in to your Cloudyard account through an identity provider, such as "
        "Google. From now on that works as well as your password.",
        _ACT,
    ),
}


def subject_line(letter: Letter) -> str:
    """The mail's subject."""
    return _WORDS[letter.kind].subject


def text_body(letter: Letter) -> str:
    """The mail as plain text."""
    words = _WORDS[letter.kind]
    paragraphs = [words.before, letter.link, _good_until(letter), words.after]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"


def html_body(letter: Letter) -> str:
    """The mail as HTML."""
    words = _WORDS[letter.kind]
    link = f'<a href="{escape(letter.link)}">{escape(letter.link)}</a>' if letter.link else None
    paragraphs = [escape(words.before), link, _good_until(letter), escape(words.after)]
    body = "\n".join(f"<p>{paragraph}</p>" for paragraph in paragraphs if paragraph)
    return f'<!doctype html>\n<html lang="en">\n<body>\n{body}\n</body>\n</html>\n'


def _good_until(letter: Letter) -> str | None:
    if letter.expires_at is None:
        return None
    return f"The link is good until {letter.expires_at:%Y-%m-%d %H:%M} UTC, and once."
