"""What is plainly wrong with a JSON schema: bounds that nothing can keep, and more parts than anybody needs.

llama.cpp multiplies by such bounds while it prepares an answer, and takes minutes and all memory for it. It also reads
counts as 32-bit numbers: those beyond bound nothing, and are left out.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeGuard

MOST_PARTS = 20_000
COUNTS = ("Length", "Items", "Properties")
LARGEST_COUNT = 2**31 - 1
NAMES = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
DATA = frozenset({"const", "enum", "default", "examples"})
LITERAL = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]", re.DOTALL)
REPETITION = re.compile(r"\{\s*\+?(\d{1,18})[^,}]*,\s*\+?(\d{1,18})")
LONGEST_PLACE = 200


class _Part(NamedTuple):
    """A part of a schema, and the part that has it under `name`.

    `has_names`: its keys are names that somebody chose, not words of JSON Schema.
    """

    value: Any
    name: str = "#"
    parent: "_Part | None" = None
    has_names: bool = False


def fault_of(schema: object) -> str | None:
    """The first fault of a schema and where it is, as the end of a sentence; None for a schema without one.

    Counts that bound nothing are taken out of the schema.
    """
    for number, part in enumerate(_parts(_Part(schema))):
        if number >= MOST_PARTS:
            return f"it has more than {MOST_PARTS} parts"
        if isinstance(part.value, dict):
            _drop_boundless(part.value)
            for fault in _faults(part.value):
                return f"{fault} (at {_place(part)})"
    return None


def _parts(root: _Part) -> Iterator[_Part]:
    """Every part that may hold another, but for names and data, which are no schemas."""
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if not part.has_names:
            yield part
        waiting.extend(islice(_inner(part), MOST_PARTS + 1))


def _inner(part: _Part) -> Iterator[_Part]:
    if isinstance(part.value, list):
        items: Any = enumerate(part.value)
    else:
        items = part.value.items() if isinstance(part.value, dict) else ()
    for name, value in items:
        is_data = name in DATA and not part.has_names
        if isinstance(value, dict | list) and not is_data:
            yield _Part(value, str(name), part, has_names=name in NAMES and not part.has_names)


def _place(part: _Part) -> str:
    names: list[str] = []
    while part.parent is not None and len(names) < LONGEST_PLACE:
        names.append(part.name[:LONGEST_PLACE])
        part = part.parent
    return "/".join(["#", *reversed(names)])[-LONGEST_PLACE:]


def _drop_boundless(schema: dict[str, Any]) -> None:
    for of in COUNTS:
        most = schema.get(f"max{of}")
        if _is_number(most) and most > LARGEST_COUNT:
            del schema[f"max{of}"]


def _faults(schema: dict[str, Any]) -> Iterator[str]:
    for of in COUNTS:
        least, most = schema.get(f"min{of}", 0), schema.get(f"max{of}", LARGEST_COUNT)
        if _is_number(least) and _is_number(most) and not 0 <= least <= most:
            yield f"no count is {least} or more and {most} or less, as min{of} and max{of} ask"
    least, most = schema.get("minimum"), schema.get("maximum")
    if _is_number(least) and _is_number(most) and least > most:
        yield "its minimum is larger than its maximum"
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and _repeats_less_than_it_asks(pattern):
        yield "its pattern asks for more repetitions than it allows"


def _repeats_less_than_it_asks(pattern: str) -> bool:
    bounds = REPETITION.findall(LITERAL.sub("", pattern))
    return any(int(least) > int(most) for least, most in bounds)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
