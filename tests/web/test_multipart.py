"""Reading forms as streams."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudyard.foundation.errors import DomainError
from cloudyard.web.errors import BodyTooLarge, UnsupportedMediaType
from cloudyard.web.multipart import FormLimits, FormMalformed, FormPart, FormReader, FormStalled

BOUNDARY = "x-boundary-x"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
LIMITS = FormLimits(body_bytes=1_000_000, parts=10, field_bytes=1000, header_bytes=500, idle_seconds=5)


def part(name: str, content: bytes, filename: str | None = None, *headers: str) -> bytes:
    shown = f'; filename="{filename}"' if filename is not None else ""
    lines = [f'Content-Disposition: form-data; name="{name}"{shown}', *headers]
    return f"--{BOUNDARY}\r\n".encode() + "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


async def in_pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def read_all(
    body: bytes, *, size: int = 65_536, limits: FormLimits = LIMITS, content_type: str | None = FORM
) -> list[tuple[FormPart, bytes]]:
    reader = FormReader(content_type, len(body), in_pieces(body, size), limits)
    return [(head, b"".join([chunk async for chunk in reader.content()])) async for head in reader.parts()]


@pytest.mark.parametrize("size", [1, 2, 7, 65_536])
async def test_a_form_in_pieces_of_any_size(size: int) -> None:
    body = (
        part("a", b"1") + part("file", b"\r\n--x-boundary\r\n", "f.txt", "Content-Type: text/x") + part("b", b"") + END
    )
    assert await read_all(body, size=size) == [
        (FormPart("a", None, None), b"1"),
        (FormPart("file", "f.txt", "text/x"), b"\r\n--x-boundary\r\n"),
        (FormPart("b", None, None), b""),
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "ü"]), st.none() | st.just("f"), st.binary(max_size=200)), max_size=5
    ),
    st.integers(1, 300),
)
def test_what_is_sent_is_what_is_read(parts: list[tuple[str, str | None, bytes]], size: int) -> None:
    body = b"".join(part(name, content, filename) for name, filename, content in parts) + END
    found = asyncio.run(read_all(body, size=size))
    assert [(head.name, head.filename, content) for head, content in found] == parts


@given(st.binary(max_size=300), st.integers(0, 400))
def test_garbage_is_refused_and_never_breaks(garbage: bytes, at: int) -> None:
    whole = part("a", b"1") + part("file", b"2" * 100, "f") + END
    for body in (garbage, whole[:at] + garbage + whole[at:], whole[:at] + garbage):
        try:
            asyncio.run(read_all(body, size=50))
        except DomainError as error:
            assert isinstance(error, FormMalformed | BodyTooLarge)


@pytest.mark.parametrize("cut", range(0, 140, 9))
async def test_a_form_cut_off_anywhere_is_refused(cut: int) -> None:
    whole = part("file", b"2" * 20, "f") + END
    body = whole[: max(0, len(whole) - 4 - cut)]
    with pytest.raises(FormMalformed, match="ends before its closing boundary"):
        await read_all(body)


async def test_content_that_nobody_reads_is_skipped() -> None:
    body = part("a", b"x" * 1000) + part("b", b"y") + END
    for size in (10, 65_536):
        reader = FormReader(FORM, None, in_pieces(body, size), LIMITS)
        assert [head.name async for head in reader.parts()] == ["a", "b"]


async def test_names_are_utf8() -> None:
    body = part("file", b"", '日本 \\"語\\".txt') + END
    assert (await read_all(body))[0][0].filename == '日本 "語".txt'


async def test_a_name_that_is_not_utf8_is_still_a_name() -> None:
    body = part("file", b"", "caf\u00e9").replace("\u00e9".encode(), b"\xe9") + END
    assert (await read_all(body))[0][0].filename == "caf\ufffd"


@pytest.mark.parametrize("content_type", [None, "", "application/json", "multipart/mixed; boundary=a", "text/plain"])
async def test_something_else_than_a_form_is_refused(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        await read_all(b"", content_type=content_type)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", END),
        ("multipart/form-data; boundary=", END),
        ("multipart/form-data; boundary=" + "x" * 300, END),
        (FORM, b"no form at all"),
        (FORM, part("a", b"").replace(b"form-data", b"attachment") + END),
        (FORM, part("a", b"").replace(b'name="a"', b"") + END),
        (FORM, part("a", b"", None, "Content-Transfer-Encoding: base64") + END),
        (FORM, part("a", b"", None, "Bad Header: x") + END),
        (FORM, part("a", b"", None, *(f"X-{n}: x" for n in range(20))) + END),
        (FORM, part("a", b"", None, "X-Long: " + "x" * 600) + END),
    ],
)
async def test_a_malformed_form_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(FormMalformed):
        await read_all(body, content_type=content_type)


async def test_a_field_that_is_not_utf8_is_refused() -> None:
    reader = FormReader(FORM, None, in_pieces(part("a", b"\xff") + END, 100), LIMITS)
    with pytest.raises(FormMalformed, match="UTF-8"):
        async for head in reader.parts():
            await reader.text(head)


async def test_a_long_field_is_refused() -> None:
    reader = FormReader(FORM, None, in_pieces(part("a", b"x" * 1001) + END, 100), LIMITS)
    with pytest.raises(BodyTooLarge) as refused:
        async for head in reader.parts():
            await reader.text(head)
    assert refused.value.field == "a"


async def test_too_many_parts_are_refused() -> None:
    with pytest.raises(BodyTooLarge, match="more than 10 parts"):
        await read_all(part("a", b"") * 11 + END)


async def test_a_declared_length_is_refused_before_anything_is_read() -> None:
    with pytest.raises(BodyTooLarge):
        FormReader(FORM, LIMITS.body_bytes + 1, in_pieces(b"", 1), LIMITS)


@pytest.mark.parametrize("place", ["content", "header", "before", "field"])
async def test_a_body_without_end_is_cut_off(place: str) -> None:
    given_bytes = 0
    begin = {
        "content": part("file", b"", "f")[:-2],
        "header": f"--{BOUNDARY}\r\nX-Long: ".encode(),
        "before": b"\r\n",
        "field": part("a", b"")[:-2],
    }

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given_bytes
        yield begin[place]
        while True:
            given_bytes += 1000
            yield b"\n" * 1000 if place == "before" else b"x" * 1000

    reader = FormReader(FORM, None, endless(), LIMITS)
    with pytest.raises((BodyTooLarge, FormMalformed)):
        async for _ in reader.parts():
            async for _ in reader.content():
                pass
    assert given_bytes <= LIMITS.body_bytes + 1000


async def test_silence_ends_the_wait() -> None:
    async def silent() -> AsyncIterator[bytes]:
        yield part("file", b"x" * 100, "f")[:60]
        await asyncio.Event().wait()

    reader = FormReader(FORM, None, silent(), FormLimits(body_bytes=1000, idle_seconds=0.05))
    with pytest.raises(FormStalled):
        async for _ in reader.parts():
            pass


async def test_a_large_file_is_never_in_memory() -> None:
    size = 64 * 1024 * 1024
    chunk = bytes(65_536)

    async def large() -> AsyncIterator[bytes]:
        yield part("file", b"", "f")[:-2]
        for _ in range(size // len(chunk)):
            yield chunk
        yield b"\r\n" + END

    reader = FormReader(FORM, None, large(), FormLimits(body_bytes=2 * size))
    tracemalloc.start()
    try:
        read = 0
        async for _ in reader.parts():
            async for piece in reader.content():
                read += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read == size
    assert peak < 2_000_000
