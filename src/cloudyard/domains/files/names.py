"""File names that are safe to keep, show and send, whatever a client calls its file."""

import re
import unicodedata

LONGEST_BYTES = 200
LONGEST_SUFFIX_BYTES = 20
NAMELESS = "file"

# Cc control, Cf format (direction marks, zero-width), Cs surrogate, Co private, Cn unassigned, Zl and Zp separators
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
FORBIDDEN = re.compile(r'[<>:"|?*]')
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.IGNORECASE)


def safe_filename(name: str | None) -> str:
    """The last part of a path without what deceives or harms: separators, invisible characters, reserved names.

    Never empty, at most 200 bytes of UTF-8 in NFC, and unchanged when made safe again.
    """
    last = re.split(r"[/\\]", name or "")[-1]
    visible = "".join(c for c in last if unicodedata.category(c) not in HIDDEN)
    plain = FORBIDDEN.sub("_", unicodedata.normalize("NFC", visible))
    trimmed = _trim(" ".join(plain.split()))
    if RESERVED.match(trimmed):
        trimmed = f"_{trimmed}"
    return _shortened(trimmed) or NAMELESS


def _trim(name: str) -> str:
    """Leading dots hide a file, trailing dots and blanks vanish on Windows."""
    return name.strip(". ")


def _shortened(name: str) -> str:
    if len(name.encode()) <= LONGEST_BYTES:
        return name
    stem, dot, suffix = name.rpartition(".")
    tail = dot + suffix
    if not stem or len(tail.encode()) > LONGEST_SUFFIX_BYTES:
        stem, tail = name, ""
    return _trim(_cut(stem, LONGEST_BYTES - len(tail.encode()))) + tail


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")
