"""Talking to the server: every request is shown as a command line, every answer as it came."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import httpx2

from cloudyard.entrypoints.tour.curl import Credential, Upload, curl_line
from cloudyard.entrypoints.tour.screen import Screen
from cloudyard.foundation.errors import DomainError, ErrorKind

TIMEOUT_SECONDS = 120
LONGEST_REFUSAL = 500


class TourStopped(DomainError):
    """The server did not answer, or not as its documents say, and the tour cannot go on."""

    code = "tour_stopped"
    kind = ErrorKind.UPSTREAM


class Refused(TourStopped):
    """The server refused a request."""

    @property
    def status(self) -> object:
        """The status of the answer."""
        return self.details.get("status")

    @property
    def said(self) -> str:
        """The message for people in the answer."""
        return str(self.details.get("said", ""))


class Talk:
    """A conversation with one server."""

    def __init__(self, base_url: str, screen: Screen) -> None:
        self._base = base_url.rstrip("/")
        self._screen = screen
        self._client = httpx2.Client(timeout=TIMEOUT_SECONDS, trust_env=False)

    def close(self) -> None:
        """End the conversation."""
        self._client.close()

    def url(self, path: str) -> str:
        """The address of a path; an address stays as it is."""
        return path if "://" in path else self._base + path

    def json(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        credential: Credential | None = None,
        upload: Upload | None = None,
        quietly: bool = False,
    ) -> Any:
        """The answer to a request, with exact numbers; shown unless `quietly`. Raises `Refused`, `TourStopped`."""
        text = json.dumps(body) if body is not None else None
        if not quietly:
            url = self.url(path)
            line = curl_line(method, url, credential=credential, body=text, headers=headers, upload=upload)
            self._screen.command(line)
        answer = self._send(method, path, text, _headers(text, credential, headers), upload)
        parsed = _parsed(answer.text)
        if not quietly:
            self._screen.answer(parsed)
        return parsed

    def download(self, path: str, credential: Credential, *, save_as: str) -> bytes:
        """The bytes under a path. Raises `TourStopped`."""
        self._screen.command(curl_line("GET", self.url(path), credential=credential, output=save_as))
        return self._send("GET", path, None, _headers(None, credential), None).content

    @contextmanager
    def events(self, path: str, body: Any, credential: Credential) -> Iterator[Iterator[Any]]:
        """The data of the server-sent events that answer a POST, up to [DONE]. Raises `TourStopped`."""
        text = json.dumps(body)
        self._screen.command(curl_line("POST", self.url(path), credential=credential, body=text, streamed=True))
        try:
            with self._client.stream(
                "POST", self.url(path), content=text, headers=_headers(text, credential)
            ) as answer:
                if answer.is_error:
                    answer.read()
                    raise _refused("POST", path, answer)
                yield _data_of(answer.iter_lines())
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    def _send(
        self, method: str, path: str, text: str | None, headers: Mapping[str, str], upload: Upload | None
    ) -> httpx2.Response:
        form = {upload.field: (upload.name, upload.content.encode(), upload.media_type)} if upload else None
        try:
            answer = self._client.request(method, self.url(path), content=text, files=form, headers=headers)
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error
        if not answer.is_success:
            raise _refused(method, path, answer)
        return answer

    def _unreachable(self, error: Exception) -> TourStopped:
        return TourStopped(
            f"No server answers at {self._base} ({error}). Start one with script/up or `cloudyard serve`, or name the "
            "right address with --url."
        )


def _headers(
    text: str | None, credential: Credential | None, more: Mapping[str, str] | None = None
) -> Mapping[str, str]:
    headers = {"Content-Type": "application/json"} if text is not None else {}
    if credential is not None:
        headers["Authorization"] = f"Bearer {credential.value}"
    return {**headers, **(more or {})}


def _refused(method: str, path: str, answer: httpx2.Response) -> Refused:
    whole = answer.text.strip()[:LONGEST_REFUSAL]
    message = f"{method} {path} was answered with {answer.status_code}, which the tour did not expect: {whole}"
    return Refused(message, details={"status": answer.status_code, "said": _message_in(answer) or whole})


def _message_in(answer: httpx2.Response) -> str | None:
    """The words for people in a refusal of Smart AI Hub, where it has any."""
    try:
        message = answer.json()["error"]["message"]
    except (ValueError, LookupError, TypeError):
        return None
    return message if isinstance(message, str) else None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise TourStopped(f"An answer is not JSON ({error}): {text.strip()[:LONGEST_REFUSAL]}") from error


def _data_of(lines: Iterator[str]) -> Iterator[Any]:
    for line in lines:
        data = line.removeprefix("data: ")
        if data == line:
            continue
        if data == "[DONE]":
            return
        event = _parsed(data)
        if "error" in event:
            raise TourStopped(f"The stream broke off: {event['error']}")
        yield event
