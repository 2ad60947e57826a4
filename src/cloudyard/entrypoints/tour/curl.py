"""Requests as command lines that a reader can paste."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret that command lines name by the shell variable it was put into."""

    variable: str
    value: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A small text file for a form."""

    field: str
    name: str
    content: str
    media_type: str


def curl_line(
    method: str,
    url: str,
    *,
    credential: Credential | None = None,
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
    upload: Upload | None = None,
    streamed: bool = False,
    output: str | None = None,
) -> str:
    """The command line of a request; `body` is JSON, `output` is the file that the answer goes to."""
    words: list[str] = ["curl -N" if streamed else "curl"]
    if method != "GET" and body is None and upload is None:
        words[0] += f" -X {method}"
    words[0] += f" {shlex.quote(url)}"
    words += _options(credential, body, headers or {}, upload, output)
    line = " \\\n  ".join(words)
    return f"printf '%s' {shlex.quote(upload.content)} |\n{line}" if upload else line


def assignment(credential: Credential) -> str:
    """The line that puts a secret into its variable."""
    return f"{credential.variable}={shlex.quote(credential.value)}"


def _options(
    credential: Credential | None,
    body: str | None,
    headers: Mapping[str, str],
    upload: Upload | None,
    output: str | None,
) -> Sequence[str]:
    options: Mapping[str, str | None] = {
        "-H": f'"Authorization: Bearer ${credential.variable}"' if credential else None,
        "-F": shlex.quote(f"{upload.field}=@-;filename={upload.name};type={upload.media_type}") if upload else None,
        "-o": shlex.quote(output) if output else None,
    }
    words = [f"{option} {value}" for option, value in options.items() if value is not None]
    words += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
    return [*words, "-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"] if body else words
