"""What is plainly wrong with a JSON schema: bounds that nothing can keep.

llama.cpp multiplies by such bounds while it prepares an answer, and takes minutes and all memory for it.
"""

import re
from collections.abc import Iterator
from typing import Any, TypeGuard

COUNTS = ("Length", "Items", "Properties")
LARGEST_COUNT = 2**31 - 1
LONGEST_PLACE = 200
REPETITION = re.compile(r"\{(\d{1,18}),(\d{1,18})\}")


def fault_of(schema: object) -> str | None:
    """The first fault of a schema and where it is, as the end of a sentence; None for a schema without one."""
    waiting: list[tuple[str, object]] = [("#", schema)]
    while waiting:
        place, part = waiting.pop()
        if isinstance(part, dict):
            for fault in _faults(part):
                return f"{fault} (at {place[-LONGEST_PLACE:]})"
            waiting.extend((f"{place}/{name}", value) for name, value in part.items())
        elif isinstance(part, list):
            waiting.extend((f"{place}/{number}", value) for number, value in enumerate(part))
    return None


def _faults(part: dict[str, Any]) -> Iterator[str]:
    for of in COUNTS:
        least, most = part.get(f"min{of}", 0), part.get(f"max{of}", LARGEST_COUNT)
        if not _is_number(least) or not _is_number(most):
            continue  # a property may have that name, and other kinds are refused by whoever reads the schema
        if not 0 <= least <= most <= LARGEST_COUNT:
            yield f"min{of} and max{of} must be counts, the one at most as large as the other"
    least, most = part.get("minimum"), part.get("maximum")
    if _is_number(least) and _is_number(most) and least > most:
        yield "minimum is larger than maximum"
    pattern = part.get("pattern")
    if isinstance(pattern, str) and any(int(least) > int(most) for least, most in REPETITION.findall(pattern)):
        yield "the pattern asks for more repetitions than it allows"


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
