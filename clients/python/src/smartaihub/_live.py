"""What the live feed's messages say, and what its failures are."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pydantic
from websockets.exceptions import InvalidStatus, WebSocketException

from smartaihub._answers import failure_of
from smartaihub._errors import APIConnectionError, APITimeoutError, UnexpectedAnswerError
from smartaihub.types.live import LiveEvent


def live_url(base_url: str, last_event_id: int | None) -> str:
    """Where the feed is, from after an event on."""
    url = base_url.replace("http", "ws", 1) + "/ws"
    return url if last_event_id is None else f"{url}?lastEventId={last_event_id}"


def newest_event(message: str | bytes) -> int:
    """The newest event's id, which the first message tells."""
    try:
        return int(_message(message)["data"]["lastEventId"])
    except (KeyError, TypeError, ValueError) as error:
        raise _strange(message) from error


def live_event(message: str | bytes) -> LiveEvent | None:
    """The event of a message, None if it is about something else."""
    told = _message(message)
    if told.get("type") != "event":
        return None
    try:
        return LiveEvent.model_validate(told)
    except pydantic.ValidationError as error:
        raise _strange(message) from error


@contextmanager
def connecting() -> Iterator[None]:
    """Raises the failures of opening a WebSocket as this library's."""
    try:
        yield
    except InvalidStatus as error:
        answer = error.response
        text = (answer.body or b"").decode(errors="replace")
        raise failure_of(answer.status_code, text, answer.headers) from error
    except TimeoutError as error:
        raise APITimeoutError("The server did not open the live feed in time. Try again later.", unsent=True) from error
    except (OSError, WebSocketException) as error:
        raise APIConnectionError(f"The live feed cannot be opened: {error}. Check base_url and the network.") from error


def _message(message: str | bytes) -> dict[str, Any]:
    try:
        told = json.loads(message)
    except ValueError as error:
        raise _strange(message) from error
    if not isinstance(told, dict):
        raise _strange(message)
    return told


def _strange(message: str | bytes) -> UnexpectedAnswerError:
    return UnexpectedAnswerError(f"The live feed sent a message of another form: {message[:200]!r}.")
