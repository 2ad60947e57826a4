"""Progress lines on stderr, and the one error that ends a bench with a plain message."""

import sys
import time

_STARTED = time.monotonic()


class BenchError(Exception):
    """A bench cannot go on; the message says what happened, why, and what to do next."""


def say(text: str) -> None:
    """Print one progress line with the seconds since the bench began."""
    print(f"[{time.monotonic() - _STARTED:6.1f}s] {text}", file=sys.stderr, flush=True)
