"""Failures in NeuroGrid's shape (document, Error Response): `details` is always an object."""

import msgspec

from cloudyard.domains.identity import InvalidProfile
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.errors import DomainError
from cloudyard.surfaces.neurogrid.mapping import timestamp
from cloudyard.web.errors import Rendered, StatusTable, issues_of, standard_headers
from cloudyard.web.money_details import USD

MONEY = USD  # as in its wallet


class NeurogridErrors:
    """Renders failures. `error` is the code; `details` names the fields at fault and what a program can read."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._status = StatusTable()

    def render(self, error: DomainError, request_id: str) -> Rendered:
        """The answer that tells of an error."""
        status = self._status(error)
        body = {
            "error": error.code,
            "message": _spelled(error, error.message),
            "details": MONEY.shown(error.details) | _fields(error),
            "timestamp": timestamp(self._clock.now()),
        }
        return Rendered(status, msgspec.json.encode(body, enc_hook=str), standard_headers(status, error))


def _fields(error: DomainError) -> dict[str, str]:
    return {_spelled(error, issue.field): _spelled(error, issue.message) for issue in issues_of(error)}


def _spelled(error: DomainError, text: str) -> str:
    """A person's name as this contract calls it: `full_name`."""
    if not isinstance(error, InvalidProfile) or error.field != "name":
        return text
    return "full_name" if text == "name" else text.replace("`name`", "`full_name`")
