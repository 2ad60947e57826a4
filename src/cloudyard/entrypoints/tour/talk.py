"""Talking to the server: every request is shown as a command line, every answer as it came."""

import json
from collections.abc import Iterator
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
        credential: Credential | None = None,
        upload: Upload | None = None,
        quietly: bool = False,
    ) -> Any:
        """The answer to a request, with exact numbers; shown unless `quietly`. Raises `TourStopped`."""
        text = json.dumps(body) if body is not None else None
        if not quietly:
            self._screen.command(curl_line(method, self.url(path), credential=credential, body=text, upload=upload))
        answer = self._send(method, path, text, credential, upload)
        parsed = _parsed(answer.text)
        if not quietly:
            self._screen.answer(parsed)
        return parsed

    def download(self, path: str, credential: Credential, *, save_as: str) -> bytes:
        """The bytes under a path. Raises `TourStopped`."""
        self._screen.command(curl_line("GET", self.url(path), credential=credential, output=save_as))
        return self._send("GET", path, None, credential, None).content

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
        self, method: str, path: str, text: str | None, credential: Credential | None, upload: Upload | None
    ) -> httpx2.Response:
        form = {upload.field: (upload.name, upload.content.encode(), upload.media_type)} if upload else None
        try:
            answer = self._client.request(
                method, self.url(path), content=text, files=form, headers=_headers(text, credential)
            )
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


def _headers(text: str | None, credential: Credential | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json"} if text is not None else {}
    return {**headers, "Authorization": f"Bearer {credential.value}"} if credential else headers


def _refused(method: str, path: str, answer: httpx2.Response) -> TourStopped:
    said = answer.text.strip()[:LONGEST_REFUSAL]
    return TourStopped(f"{method} {path} was answered with {answer.status_code}, which the tour did not expect: {said}")


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
