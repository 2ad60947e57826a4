"""Failures as a row can keep them."""

LONGEST = 2000


def described(error: Exception) -> str:
    """Kind and message of a failure, cut short, without what a database cannot store as text."""
    return storable_text(f"{type(error).__name__}: {error}")[:LONGEST]


def storable_text(text: str) -> str:
    """A text as every database can store it: without NUL, and with `?` for what is no character (lone surrogates)."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()
