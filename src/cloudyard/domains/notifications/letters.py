"""The mails that tell of notices: one notice, or several in one mail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

FOOTER = "You can choose which of these mails you get in the notification settings of your account."


@dataclass(frozen=True, slots=True)
class Item:
    """One notice in a mail."""

    title: str
    message: str
    at: datetime


def subject_line(items: Sequence[Item]) -> str:
    """The mail's subject: the notice's own title, or how many notices there are."""
    if len(items) == 1:
        return " ".join(items[0].title.split())
    return f"{len(items)} notices from Cloudyard"


def text_body(items: Sequence[Item]) -> str:
    """The mail as plain text."""
    notices = [f"{item.title}\n{_moment(item)}\n\n{item.message}" for item in items]
    return "\n\n----\n\n".join(notices) + f"\n\n--\n{FOOTER}\n"


def html_body(items: Sequence[Item]) -> str:
    """The mail as HTML."""
    notices = "\n<hr>\n".join(
        f"<h2>{escape(item.title)}</h2>\n<p><small>{_moment(item)}</small></p>\n<p>{escape(item.message)}</p>"
        for item in items
    )
    footer = f"<p><small>{escape(FOOTER)}</small></p>"
    return f'<!doctype html>\n<html lang="en">\n<body>\n{notices}\n{footer}\n</body>\n</html>\n'


def _moment(item: Item) -> str:
    return f"{item.at:%Y-%m-%d %H:%M} UTC"
