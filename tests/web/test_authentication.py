import pytest

from cloudyard.web.authentication import presented_credential, sent_by_another_site

NO_ORIGINS: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({b"authorization": b"Bearer abc"}, "abc"),
        ({b"authorization": b"bearer  abc "}, "abc"),
        ({b"authorization": b"Bearer "}, None),
        ({b"authorization": b"Basic dXNlcjpwdw=="}, None),
        ({b"x-api-key": b"nk_1"}, "nk_1"),
        ({b"authorization": b"Bearer abc", b"x-api-key": b"nk_1"}, "abc"),
        ({b"cookie": b"a=1; session=tok; b=2"}, "tok"),
        ({b"cookie": b"session="}, None),
        ({b"cookie": b"other=tok"}, None),
        ({}, None),
    ],
)
def test_where_a_credential_is_found(headers: dict[bytes, bytes], expected: str | None) -> None:
    found = presented_credential(headers, cookie="session")
    assert (found.value if found else None) == expected
    assert found is None or found.from_cookie is (b"cookie" in headers)


def test_a_cookie_counts_only_where_the_surface_has_one() -> None:
    assert presented_credential({b"cookie": b"session=tok"}) is None


def test_a_websocket_may_bring_its_token_in_the_query() -> None:
    found = presented_credential({}, query=b"a=1&token=abc%2Edef")
    assert found is not None
    assert found.value == "abc.def"
    assert presented_credential({}, query=b"token=") is None
    from_header = presented_credential({b"authorization": b"Bearer h"}, query=b"token=q")
    assert from_header is not None
    assert from_header.value == "h"


@pytest.mark.parametrize(
    ("method", "headers", "foreign"),
    [
        ("GET", {b"origin": b"https://evil.example", b"host": b"me"}, False),
        ("POST", {b"host": b"me"}, False),
        ("POST", {b"origin": b"http://me", b"host": b"me"}, False),
        ("POST", {b"origin": b"http://me:9", b"host": b"me:8"}, True),
        ("POST", {b"origin": b"https://evil.example", b"host": b"me"}, True),
        ("POST", {b"origin": b"null", b"host": b"me"}, True),
        ("WEBSOCKET", {b"origin": b"https://evil.example", b"host": b"me"}, True),
        ("POST", {b"sec-fetch-site": b"cross-site", b"host": b"me"}, True),
        ("POST", {b"sec-fetch-site": b"same-site", b"host": b"me"}, True),
        ("POST", {b"sec-fetch-site": b"same-origin", b"origin": b"https://behind.proxy", b"host": b"me"}, False),
        ("POST", {b"sec-fetch-site": b"none"}, False),
    ],
)
def test_requests_that_another_page_caused(method: str, headers: dict[bytes, bytes], foreign: bool) -> None:
    assert sent_by_another_site(method, headers, NO_ORIGINS) is foreign


def test_an_allowed_origin_is_no_other_site() -> None:
    headers = {b"origin": b"https://app.example", b"sec-fetch-site": b"cross-site"}
    assert not sent_by_another_site("POST", headers, frozenset({"https://app.example"}))
