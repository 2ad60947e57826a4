"""What a file is, whatever its client says."""

import gzip
import io
import sqlite3
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudyard.domains.files import content_type_of, is_passive
from cloudyard.domains.files.content_types import PASSIVE, SIGNATURES, SIGNED_TYPES, TEXTUAL, TYPE

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
ZIP = io.BytesIO()
with zipfile.ZipFile(ZIP, "w") as _archive:
    _archive.writestr("a", "b")


@pytest.mark.parametrize(
    ("head", "declared", "name", "found"),
    [
        (PNG, "image/png", "a.png", "image/png"),
        (PNG, "text/html", "a.html", "image/png"),
        (PNG, None, "a", "image/png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "image/png", "a.png", "image/jpeg"),
        (b"plain words", "image/png", "a.png", "text/plain"),
        (b"\x01\x02\x03\x04", "image/png", "a.png", "application/octet-stream"),
        (b"\x01\x02\x03\x04", "text/plain", "a.txt", "application/octet-stream"),
        (b"\x01\x02\x03\x04", "application/x-mine", "a", "application/x-mine"),
        (b"\x01\x02\x03\x04", None, "a", "application/octet-stream"),
        (b"<!DOCTYPE html><p>", "image/png", "a.png", "text/html"),
        (b"<!DOCTYPE html><p>", "text/plain", "a.txt", "text/plain"),
        (b"  \n<script>alert(1)</script>", None, "a", "text/html"),
        (b"<svg onload=alert(1)>", "image/png", "a.png", "text/html"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "image/svg+xml", "a.svg", "image/svg+xml"),
        (b"<?xml version='1.0'?><a/>", None, "a", "application/xml"),
        (b"GIF89a/*\n*/=alert(1)//", "image/gif", "a.gif", "text/plain"),
        (b"GIF89a\x01\x00\x01\x00", "image/gif", "a.gif", "image/gif"),
        (b'{"a": 1}\n', "application/jsonl", "a.jsonl", "application/jsonl"),
        (b'{"a": 1}\n', "application/octet-stream", "a.jsonl", "application/jsonl"),
        (b'{"a": 1}\n', None, "a.json", "application/json"),
        (b"a,b\n1,2\n", "text/csv; charset=utf-8", "a.csv", "text/csv"),
        (b"a,b\n1,2\n", "TEXT/CSV", "a.csv", "text/csv"),
        (b"a: 1\n", None, "a.yaml", "application/yaml"),
        (b"words", "nonsense", "a", "text/plain"),
        (b"words", "text/\r\nplain", "a", "text/plain"),
        (b"words", "text/" + "x" * 500, "a.md", "text/markdown"),
        (b"", None, "a", "text/plain"),
        (b"", "image/png", "a.png", "text/plain"),
        ("déjà vu".encode("utf-16"), "text/plain", "a.txt", "text/plain"),
        (ZIP.getvalue(), DOCX, "a.docx", DOCX),
        (ZIP.getvalue(), None, "a.docx", DOCX),
        (ZIP.getvalue(), "text/html", "a.html", "application/zip"),
        (gzip.compress(b"x", mtime=0), "application/x-tar", "a.tgz", "application/x-tar"),
        (gzip.compress(b"x", mtime=0), None, "a.tar.gz", "application/gzip"),
        (b"GGUF\x03\x00\x00\x00", "application/octet-stream", "m.gguf", "application/x-gguf"),
        (b"GGUF is a format", None, "a.txt", "text/plain"),
        (b"ID3 tags are old", None, "a.txt", "text/plain"),
        (b"%PDF-1.7\n", "application/pdf", "a.pdf", "application/pdf"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio/x-wav", "a.wav", "audio/x-wav"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "audio/x-wav", "a.wav", "image/webp"),
        (b"\x00\x00\x00 ftypisom", "video/mp4", "a.mp4", "video/mp4"),
        (b"\x7fELF\x02\x01\x01\x00", "image/jpeg", "a.jpg", "application/x-elf"),
    ],
)
def test_types(head: bytes, declared: str | None, name: str, found: str) -> None:
    assert content_type_of(head, declared, name) == found


def test_a_real_database_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.close()
    assert content_type_of(path.read_bytes()[:1445], None, "x") == "application/vnd.sqlite3"


def test_what_is_shown_in_place_is_known_by_its_bytes() -> None:
    assert PASSIVE - {"text/plain"} <= SIGNED_TYPES
    assert not is_passive("text/html")
    assert not is_passive("image/svg+xml")
    assert not is_passive("application/octet-stream")


@given(
    st.binary(max_size=1445) | st.text(max_size=300).map(str.encode),
    st.none() | st.text(max_size=80) | st.sampled_from(sorted(SIGNED_TYPES)),
    st.text(max_size=40),
)
def test_a_type_is_always_one_and_passive_only_by_its_bytes(head: bytes, declared: str | None, name: str) -> None:
    found = content_type_of(head, declared, name)
    assert TYPE.fullmatch(found)
    assert len(found) <= 127
    if is_passive(found) and found != "text/plain":
        assert any(signature.type == found and signature.matches(head) for signature in SIGNATURES)


@given(st.binary(max_size=700), st.binary(max_size=700), st.sampled_from(["text/html", "image/svg+xml"]))
def test_binary_is_never_a_script_or_a_page(before: bytes, after: bytes, declared: str) -> None:
    head = before + b"\x00" + after
    if not head.startswith((b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe")):
        assert not TEXTUAL.fullmatch(content_type_of(head, declared, "a"))
