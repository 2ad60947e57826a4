"""The address under which this server calls itself."""

from typing import Any

import pytest

from cloudyard.web.public_url import PublicUrl


def asked(host: str | None, *, https: bool = False) -> dict[str, Any]:
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    return {"headers": headers, "state": {"https": https}}


@pytest.mark.parametrize(
    ("host", "https", "base"),
    [
        ("127.0.0.1:8000", False, "http://127.0.0.1:8000"),
        ("[::1]:8000", False, "http://[::1]:8000"),
        ("AI.Example.com", True, "https://ai.example.com"),
        ("evil/path", False, "http://127.0.0.1:8000"),
        ('x"y', False, "http://127.0.0.1:8000"),
        ("a@b", False, "http://127.0.0.1:8000"),
        ("x\r\ny", False, "http://127.0.0.1:8000"),
        ("", False, "http://127.0.0.1:8000"),
        (None, False, "http://127.0.0.1:8000"),
    ],
)
def test_it_is_what_the_request_names_if_that_is_sane(host: str | None, https: bool, base: str) -> None:
    assert PublicUrl(None).base(asked(host, https=https)) == base


def test_it_is_what_was_configured_whatever_the_request_names() -> None:
    assert PublicUrl("https://ai.example.com/").base(asked("evil.example")) == "https://ai.example.com"
