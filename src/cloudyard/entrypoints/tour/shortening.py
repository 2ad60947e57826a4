"""Answers made short enough to read; what was left out is always said."""

from typing import Any

LONGEST_TEXT = 200
MOST_ITEMS = 4
FEWEST_HIDDEN_CHARACTERS = 40


def shortened(value: Any) -> Any:
    """The same JSON value with long texts and lists cut, and a note where something is missing."""
    if isinstance(value, str):
        return _short_text(value)
    if isinstance(value, list):
        kept = [shortened(item) for item in value[:MOST_ITEMS]]
        return kept if len(value) <= MOST_ITEMS else [*kept, f"... and {len(value) - MOST_ITEMS} more"]
    if isinstance(value, dict):
        return {name: shortened(item) for name, item in value.items()}
    return value


def _short_text(text: str) -> str:
    hidden = len(text) - LONGEST_TEXT
    if hidden < FEWEST_HIDDEN_CHARACTERS:
        return text
    return f"{text[:LONGEST_TEXT]}... and {hidden} more characters"
