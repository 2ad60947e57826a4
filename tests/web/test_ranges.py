"""Range and conditional requests (RFC 9110, sections 13 and 14)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudyard.web.downloads import content_disposition
from cloudyard.web.ranges import select

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("wanted", "size", "status", "part", "content_range"),
    [
        ("bytes=0-499", 10_000, 206, (0, 500), "bytes 0-499/10000"),
        ("bytes=500-999", 10_000, 206, (500, 1000), "bytes 500-999/10000"),
        ("bytes=-500", 10_000, 206, (9500, 10_000), "bytes 9500-9999/10000"),
        ("bytes=9500-", 10_000, 206, (9500, 10_000), "bytes 9500-9999/10000"),
        ("bytes=0-0", 1, 206, (0, 1), "bytes 0-0/1"),
        ("bytes=0-99999", 100, 206, (0, 100), "bytes 0-99/100"),
        ("bytes=-99999", 100, 206, (0, 100), "bytes 0-99/100"),
        ("BYTES = 1-2", 100, 206, (1, 3), "bytes 1-2/100"),
        ("bytes=1-2,", 100, 206, (1, 3), "bytes 1-2/100"),
        ("bytes=100-", 100, 416, (0, 0), "bytes */100"),
        ("bytes=100-200", 100, 416, (0, 0), "bytes */100"),
        ("bytes=-0", 100, 416, (0, 0), "bytes */100"),
        ("bytes=0-", 0, 416, (0, 0), "bytes */0"),
        ("bytes=9999999999999999999-", 100, 416, (0, 0), "bytes */100"),
        ("bytes=5-1", 100, 200, (0, 100), None),
        ("bytes=-", 100, 200, (0, 100), None),
        ("bytes=", 100, 200, (0, 100), None),
        ("bytes=a-b", 100, 200, (0, 100), None),
        ("bytes=1-2,5-6", 100, 200, (0, 100), None),
        ("bytes=+1-2", 100, 200, (0, 100), None),
        ("bytes=\u0661-\u0662", 100, 200, (0, 100), None),
        ("items=0-1", 100, 200, (0, 100), None),
        ("bytes=" + "9" * 10_000 + "-", 100, 200, (0, 100), None),
    ],
)
def test_ranges(wanted: str, size: int, status: int, part: tuple[int, int], content_range: str | None) -> None:
    selection = select("GET", {"range": wanted}, size=size, etag=ETAG)
    assert (selection.status, selection.start, selection.end) == (status, *part)
    assert selection.headers().get("content-range") == content_range
    assert selection.length == part[1] - part[0]


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60), st.sampled_from(["{}-{}", "{}-", "-{}"]))
def test_a_range_is_what_a_list_of_positions_says(size: int, first: int, last: int, form: str) -> None:
    """The definition, byte by byte, against the arithmetic."""
    if form == "{}-{}":
        wanted, positions = f"{first}-{last}", [n for n in range(size) if first <= n <= last]
        valid = first <= last
    elif form == "{}-":
        wanted, positions, valid = f"{first}-", [n for n in range(size) if first <= n], True
    else:
        wanted, positions, valid = f"-{first}", list(range(size))[-first:] if first else [], True
    selection = select("GET", {"range": f"bytes={wanted}"}, size=size, etag=ETAG)
    if not valid:
        assert (selection.status, selection.length) == (200, size)
    elif positions:
        assert (selection.status, list(range(selection.start, selection.end))) == (206, positions)
    else:
        assert selection.status == 416


@given(st.text(max_size=60), st.integers(0, 1000))
def test_no_range_breaks_anything(wanted: str, size: int) -> None:
    for text in (wanted, f"bytes={wanted}"):
        selection = select("GET", {"range": text}, size=size, etag=ETAG)
        assert selection.status in (200, 206, 416)
        assert 0 <= selection.start <= selection.end <= size


def test_a_range_counts_for_get_only() -> None:
    assert select("HEAD", {"range": "bytes=0-1"}, size=10, etag=ETAG).status == 200


@pytest.mark.parametrize(
    ("if_range", "status"),
    [(ETAG, 206), ('"other"', 200), ('W/"abc"', 200), ("Wed, 21 Oct 2026 07:28:00 GMT", 200)],
)
def test_a_range_of_something_else_is_not_sent(if_range: str, status: int) -> None:
    assert select("GET", {"range": "bytes=0-1", "if-range": if_range}, size=10, etag=ETAG).status == status


@pytest.mark.parametrize(
    ("if_none_match", "status"),
    [(ETAG, 304), ('W/"abc"', 304), ('"x", "abc"', 304), ("*", 304), ('"x"', 200), ("abc", 200), ("", 200)],
)
def test_what_has_not_changed_is_not_sent(if_none_match: str, status: int) -> None:
    for method in ("GET", "HEAD"):
        assert select(method, {"if-none-match": if_none_match}, size=10, etag=ETAG).status == status
    both = select("GET", {"if-none-match": if_none_match, "range": "bytes=0-1"}, size=10, etag=ETAG)
    assert both.status == (304 if status == 304 else 206)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("report 1.pdf", 'attachment; filename="report 1.pdf"'),
        ("naïve.txt", "attachment; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt"),
        ('a"b\\c.txt', "attachment; filename=\"a_b_c.txt\"; filename*=UTF-8''a%22b%5Cc.txt"),
        ("a;b,c.txt", "attachment; filename=\"a_b_c.txt\"; filename*=UTF-8''a%3Bb%2Cc.txt"),
    ],
)
def test_the_name_of_a_download(name: str, header: str) -> None:
    assert content_disposition(name) == header
    assert content_disposition(name, inline=True) == header.replace("attachment", "inline")


@given(st.text(st.characters(codec="utf-8")))
def test_no_name_breaks_out_of_its_header(name: str) -> None:
    header = content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    assert "\\" not in header
