"""One rule for names, addresses and the other fields of a profile."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cloudyard.domains.identity import InvalidEmail, InvalidProfile
from cloudyard.domains.identity.names import normal_email, split_name, tidy_text
from cloudyard.domains.identity.profile import profile_columns

NAMES = st.text(st.characters(codec="utf-8", categories=["L", "M", "N", "P", "Zs"]), max_size=90)
LOCALS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9+_-]{0,20}", fullmatch=True)
DOMAINS = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,10}\.(com|org|Internal|local)", fullmatch=True)


@given(NAMES)
def test_splitting_a_full_name_and_joining_it_gives_it_back(name: str) -> None:
    first, last = split_name(name)
    assert " ".join(part for part in (first, last) if part) == tidy_text(name, field="name", longest=200)
    assert not last or first


@given(NAMES, NAMES)
def test_writing_the_present_full_name_again_changes_neither_part(first: str, last: str) -> None:
    present = (tidy_text(first, field="name", longest=100), tidy_text(last, field="name", longest=100))
    full = " ".join(part for part in present if part)
    assert split_name(full, present=present) == present


@pytest.mark.parametrize(
    ("full", "parts"),
    [
        ("John Doe", ("John", "Doe")),
        ("  Ludwig   van\tBeethoven ", ("Ludwig", "van Beethoven")),
        ("Plato", ("Plato", "")),
        ("", ("", "")),
        ("\u0646\u06cc\u0645\u0627 \u0645\u06cc\u200c\u062e", ("\u0646\u06cc\u0645\u0627", "\u0645\u06cc\u200c\u062e")),
    ],
)
def test_full_names(full: str, parts: tuple[str, str]) -> None:
    assert split_name(full) == parts


@pytest.mark.parametrize("name", ["a\x00b", "\ud800", "right\u202eleft", "x" * 201, "x" * 101])
def test_names_that_nobody_has_are_refused(name: str) -> None:
    with pytest.raises(InvalidProfile) as caught:
        split_name(name)
    assert caught.value.field == "name"


@given(LOCALS, DOMAINS)
def test_addresses_are_compared_in_one_form(local: str, domain: str) -> None:
    assume(not local.endswith("-"))
    normal = normal_email(f"{local}@{domain}")
    assert normal == f"{local}@{domain}".lower()
    assert normal_email(normal) == normal
    assert normal_email(f"{local}@{domain}".upper()) == normal


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("admin@localhost", "admin@localhost"),
        ("ada@Office.Local", "ada@office.local"),
        ("ada+tag@example.com", "ada+tag@example.com"),
    ],
)
def test_good_addresses(written: str, stored: str) -> None:
    assert normal_email(written) == stored


@pytest.mark.parametrize(
    "address",
    [
        "",
        "not-an-email",
        "@example.com",
        "ada@",
        "ada@example",
        "a@b@example.com",
        "ada@example.com\n",
        "ada@example.com\r\nBcc: all@example.com",
        "ada\x00@example.com",
        "\ud800@example.com",
        "ada@localhost\n",
        "ada lovelace@local",
        "x" * 70 + "@example.com",
        "ada@" + "x." * 130 + "com",
        "Ada <ada@example.com>",
    ],
)
def test_bad_addresses(address: str) -> None:
    with pytest.raises(InvalidEmail) as caught:
        normal_email(address)
    assert caught.value.field == "email"


@given(st.text())
def test_no_text_breaks_the_check_of_addresses(text: str) -> None:
    try:
        normal = normal_email(text)
    except InvalidEmail:
        return
    assert normal.isascii()
    assert normal_email(normal) == normal


def test_empty_text_clears_and_none_leaves_alone() -> None:
    assert profile_columns({"phone": "", "company": None}) == {"phone": None}


def test_parts_win_over_the_full_name() -> None:
    assert profile_columns({"name": "John Doe", "last_name": "Roe"}) == {"first_name": "John", "last_name": "Roe"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "ab"),
        ("username", "x" * 31),
        ("username", "ada@example.com"),
        ("username", ""),
        ("username", "ada\n"),
        ("phone", "call me"),
        ("phone", "1" * 40),
        ("timezone", "../../etc/passwd"),
        ("timezone", "Mars/Olympus Mons"),
        ("language", "english please"),
        ("company", "x" * 201),
        ("first_name", "x" * 101),
    ],
)
def test_fields_that_are_refused(field: str, value: str) -> None:
    with pytest.raises(InvalidProfile) as caught:
        profile_columns({field: value})  # type: ignore[misc]
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phone", "+1234567890"),
        ("timezone", "America/New_York"),
        ("timezone", "UTC"),
        ("timezone", "America/Argentina/Buenos_Aires"),
        ("language", "en"),
        ("language", "zh-Hant-TW"),
        ("company", "Analytical Engines"),
    ],
)
def test_fields_that_are_accepted(field: str, value: str) -> None:
    assert profile_columns({field: value}) == {field: value}  # type: ignore[misc]
