"""What a user may write into the own profile, checked and turned into columns."""

from typing import Any, TypedDict

from cloudyard.domains.identity import names


class ProfileChanges(TypedDict, total=False):
    """Wanted values. What is left out or None stays as it is; an empty text clears a field that may be empty.

    `name` is the full name; where `first_name` or `last_name` are given too, they win.
    """

    name: str | None
    first_name: str | None
    last_name: str | None
    username: str | None
    company: str | None
    phone: str | None
    timezone: str | None
    language: str | None


_OPTIONAL = {
    "company": names.checked_company,
    "phone": names.checked_phone,
    "timezone": names.checked_timezone,
    "language": names.checked_language,
}


def profile_columns(changes: ProfileChanges, *, present_name: tuple[str, str] = ("", "")) -> dict[str, Any]:
    """The columns of `users` that the changes write. Raises `InvalidProfile`."""
    wanted = {field: value for field, value in changes.items() if isinstance(value, str)}
    columns: dict[str, Any] = {field: check(wanted[field]) for field, check in _OPTIONAL.items() if field in wanted}
    columns |= _name_columns(wanted, present_name)
    if "username" in wanted:
        username = names.checked_username(wanted["username"])
        columns |= {"username": username, "username_key": username.lower()}
    return columns


def _name_columns(wanted: dict[str, str], present: tuple[str, str]) -> dict[str, str]:
    columns = {}
    if "name" in wanted:
        columns["first_name"], columns["last_name"] = names.split_name(wanted["name"], present=present)
    for field in ("first_name", "last_name"):
        if field in wanted:
            columns[field] = names.tidy_text(wanted[field], field=field, longest=names.LONGEST_NAME)
    return columns
