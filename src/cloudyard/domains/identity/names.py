"""The one rule for names, addresses and the other fields that a person writes into a profile.

Some documents know one full name, others a first and a last name. Both parts are stored; the full name is
the two together. A full name is split at its first space, except that writing the present one again changes nothing.
"""

import re
import unicodedata

from email_validator import EmailNotValidError, validate_email

from cloudyard.domains.identity.errors import InvalidEmail, InvalidProfile

LONGEST_NAME = 100
LONGEST_COMPANY = 200

_JOINERS = "\u200c\u200d"  # not printable by themselves, and part of Persian and Indic names

_USERNAME = re.compile(r"[A-Za-z0-9_-]{3,30}")
_PHONE = re.compile(r"\+?[0-9][0-9 ().-]{2,30}")
_TIMEZONE = re.compile(r"[A-Za-z0-9_+-]{1,30}(/[A-Za-z0-9_+-]{1,30}){0,2}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}")
_PRIVATE_DOMAIN = re.compile(r"(.+\.)?(local|localhost|test)", re.IGNORECASE)


def normal_email(address: str) -> str:
    """The address in the one form in which it is stored and compared: lower case, domain in ASCII.

    Addresses of private networks (`admin@localhost`, `ada@office.local`) are good addresses here: a team runs
    Cloudyard on its own machine. Raises `InvalidEmail`.
    """
    try:
        return _ascii_email(address).lower()
    except EmailNotValidError as error:
        raise InvalidEmail(f"This is not a usable e-mail address: {error}", field="email") from error


def _ascii_email(address: str) -> str:
    local, _, domain = address.rpartition("@")
    private = _PRIVATE_DOMAIN.fullmatch(domain) is not None
    suffix = ".example.com" if private else ""  # the validator refuses private names by themselves
    checked = validate_email(f"{local}@{domain}{suffix}", check_deliverability=False, allow_smtputf8=False, strict=True)
    assert checked.ascii_email is not None  # noqa: S101 - always there when SMTPUTF8 is not allowed
    return checked.ascii_email.removesuffix(suffix)


def is_username(text: str) -> bool:
    """Whether the text can be a username: 3 to 30 letters, digits, `_` and `-`, so never an e-mail address."""
    return _USERNAME.fullmatch(text) is not None


def checked_username(username: str) -> str:
    """The username, unchanged. Raises `InvalidProfile`."""
    if not is_username(username):
        raise InvalidProfile("A username has 3 to 30 letters, digits, `_` or `-`.", field="username")
    return username


def split_name(full_name: str, *, present: tuple[str, str] = ("", "")) -> tuple[str, str]:
    """First and last name of a full name; `present` is kept where that is the full name already.

    Raises `InvalidProfile`.
    """
    tidy = tidy_text(full_name, field="name", longest=2 * LONGEST_NAME)
    if tidy == " ".join(part for part in present if part):
        return present
    first, _, last = tidy.partition(" ")
    return tidy_text(first, field="name", longest=LONGEST_NAME), tidy_text(last, field="name", longest=LONGEST_NAME)


def tidy_text(text: str, *, field: str, longest: int) -> str:
    """One line without needless spaces, in Unicode's composed form. Raises `InvalidProfile`."""
    tidy = " ".join(unicodedata.normalize("NFC", text).split())
    if len(tidy) > longest:
        raise InvalidProfile(f"`{field}` is too long: at most {longest} characters.", field=field)
    if not all(character.isprintable() or character in _JOINERS for character in tidy):
        raise InvalidProfile(f"`{field}` has control characters or broken text in it: leave them out.", field=field)
    return tidy


def checked_company(company: str) -> str | None:
    """The company's name, None where it is empty. Raises `InvalidProfile`."""
    return tidy_text(company, field="company", longest=LONGEST_COMPANY) or None


def checked_phone(phone: str) -> str | None:
    """A telephone number, None where it is empty. Raises `InvalidProfile`."""
    return _matching(phone, _PHONE, field="phone", example="+1 234 567890")


def checked_timezone(timezone: str) -> str | None:
    """A time zone's IANA name, None where it is empty. Raises `InvalidProfile`."""
    return _matching(timezone, _TIMEZONE, field="timezone", example="America/New_York")


def checked_language(language: str) -> str | None:
    """A language tag (RFC 5646), None where it is empty. Raises `InvalidProfile`."""
    return _matching(language, _LANGUAGE, field="language", example="en-GB")


def _matching(text: str, pattern: re.Pattern[str], *, field: str, example: str) -> str | None:
    tidy = text.strip()
    if not tidy:
        return None
    if pattern.fullmatch(tidy) is None:
        raise InvalidProfile(f"`{field}` is not of the expected form; write it like `{example}`.", field=field)
    return tidy
