"""Parameters of a request, each of which may come once (RFC 6749, sections 3.1 and 3.2)."""

from collections.abc import Iterable, Mapping

from starlette.requests import Request

from cloudyard.foundation.errors import InvalidInput

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 32


async def posted(request: Request) -> list[tuple[str, str]]:
    """The fields of a form. Raises `InvalidInput`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise InvalidInput(f"Send the parameters as {FORM}.")
    async with request.form(max_files=0, max_fields=MOST_FIELDS) as form:
        return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]


def once(fields: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """The parameters by name; one without a value counts as absent. Raises `InvalidInput` for one that comes twice."""
    found: dict[str, str] = {}
    for name, value in fields:
        if name in found:
            raise InvalidInput(f"The parameter {name[:50]!r} was sent twice. Send it once.")
        found[name] = value
    return {name: value for name, value in found.items() if value}


def need(fields: Mapping[str, str], name: str) -> str:
    """A parameter that must be there. Raises `InvalidInput`."""
    if name not in fields:
        raise InvalidInput(f"The parameter {name!r} is missing.", field=name)
    return fields[name]
