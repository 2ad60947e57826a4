"""File names that are safe whatever the client calls its file."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cloudyard.domains.files import safe_filename


@pytest.mark.parametrize(
    ("given_name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("Übersicht 2026 (final).xlsx", "Übersicht 2026 (final).xlsx"),
        ("日本語.txt", "日本語.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\cv.doc", "cv.doc"),
        ("/", "file"),
        ("..", "file"),
        ("a/..", "file"),
        (".bashrc", "bashrc"),
        ("name. . .", "name"),
        ("", "file"),
        (None, "file"),
        ("   ", "file"),
        ("\x00\x01", "file"),
        ("a\x00b.txt", "ab.txt"),
        ("a\r\nSet-Cookie: x.txt", "aSet-Cookie_ x.txt"),
        ("invoice\u202egnp.exe", "invoicegnp.exe"),
        ("zero\u200bwidth.txt", "zerowidth.txt"),
        ("\ud800.txt", "txt"),
        ('a<b>c:"d|e?f*.txt', "a_b_c__d_e_f_.txt"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("lpt1.tar.gz", "_lpt1.tar.gz"),
        ("COM¹.txt", "_COM¹.txt"),
        ("console.txt", "console.txt"),
        ("e\u0301.txt", "\u00e9.txt"),
        ("x" * 300 + ".txt", "x" * 196 + ".txt"),
        ("x." + "y" * 300, "x." + "y" * 198),
        ("\U0001f600" * 100 + ".jsonl", "\U0001f600" * 48 + ".jsonl"),
    ],
)
def test_names(given_name: str | None, safe: str) -> None:
    assert safe_filename(given_name) == safe


@given(st.text(st.characters(), max_size=300) | st.from_regex(r"[./\\ ]*(con|nul|com1|\.|a)*[./\\ ]*", fullmatch=True))
@example("con" + "." * 300 + "x")
@example("a" * 190 + " . " + "b" * 30)
def test_a_safe_name_has_nothing_that_deceives_or_harms(name: str) -> None:
    safe = safe_filename(name)
    assert safe
    assert len(safe.encode()) <= 200
    assert not set(safe) & set('/\\<>:"|?*')
    assert safe not in (".", "..")
    assert not safe.startswith(".")
    assert safe == safe.strip(". ")
    assert not {unicodedata.category(c) for c in safe} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert safe.partition(".")[0].rstrip().lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}
    assert unicodedata.is_normalized("NFC", safe)
    assert safe_filename(safe) == safe
