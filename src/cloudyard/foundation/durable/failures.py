"""Failures as a row can keep them."""

LONGEST = 2000


def described(error: Exception) -> str:
    """Kind and message of a failure, cut short, without what a database cannot store as text."""
    text = f"{type(error).__name__}: {error}".replace("\x00", "")
    return text.encode("utf-8", "replace").decode()[:LONGEST]
