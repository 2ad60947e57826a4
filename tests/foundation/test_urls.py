"""URLs that are added to, and those that nobody on the way can read."""

import pytest

from cloudyard.foundation.urls import http_url, is_base, is_private, with_parameters


@pytest.mark.parametrize(
    ("url", "longer"),
    [
        ("https://a.example/b", "https://a.example/b?x=1&y=a+b%26c"),
        ("https://a.example/b?q=%2F&q=2", "https://a.example/b?q=%2F&q=2&x=1&y=a+b%26c"),
        ("https://a.example", "https://a.example?x=1&y=a+b%26c"),
        ("https://a.example/b?", "https://a.example/b?x=1&y=a+b%26c"),
    ],
)
def test_parameters_come_behind_those_that_are_there(url: str, longer: str) -> None:
    assert with_parameters(url, {"x": "1", "y": "a b&c"}) == longer


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://a.example/", True),
        ("HTTPS://A.EXAMPLE/", True),
        ("http://localhost:3000/", True),
        ("http://[::1]/", True),
        ("http://a.example/", False),
        ("http://localhost.a.example/", False),
        ("http://10.0.0.1/", False),
        ("https:///a", False),
        ("ftp://localhost/", False),
        ("localhost", False),
    ],
)
def test_what_nobody_on_the_way_can_read(url: str, private: bool) -> None:
    assert is_private(url) is private


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("cloud.example", "http://cloud.example:8000"),
        ("::1", "http://[::1]:8000"),
    ],
)
def test_a_server_is_reached_by_name_or_address(host: str, url: str) -> None:
    assert http_url(host, 8000) == url


@pytest.mark.parametrize(
    "url", ["https://a.example", "http://10.0.0.1:8000/", "https://a.example/below", "http://[::1]"]
)
def test_what_paths_can_be_put_behind(url: str) -> None:
    assert is_base(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "foo",
        "a.example",
        "//a.example",
        "/path",
        "ftp://a.example",
        "https://",
        "https:///a",
        "https://a.example?x=1",
        "https://a.example/?",
        "https://a.example#part",
        "https://a b.example",
        "https://a.example:0",
    ],
)
def test_what_no_path_can_be_put_behind(url: str) -> None:
    assert not is_base(url)


@pytest.mark.parametrize("url", ["https://a.example:port", "https://[::1"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError):
        is_base(url)
