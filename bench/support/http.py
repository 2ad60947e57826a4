"""Small JSON calls to a server on loopback, for setting up and for checking answers."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from support.console import BenchError

TIMEOUT_SECONDS = 30


def call(method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
    """Send JSON and return the decoded answer. Raises BenchError unless the status is 2xx."""
    sent = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
    request = urllib.request.Request(
        url, data=sent, method=method, headers={"Content-Type": "application/json", **(headers or {})}
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        raise BenchError(f"{method} {url} answered {refused.code}: {refused.read()[:500]!r}") from refused
    except (OSError, ValueError) as failed:
        raise BenchError(f"{method} {url} failed: {failed}") from failed


def answers(url: str) -> bool:
    """Whether a GET is answered with 2xx at the moment."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return 200 <= int(answer.status) < 300
    except OSError:
        return False
