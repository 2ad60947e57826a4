"""multipart/form-data (RFC 7578) as a stream: nothing is held in memory but the short fields."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.web.errors import BodyTooLarge, UnsupportedMediaType

PLAIN_ENCODINGS = frozenset({"", "7bit", "8bit", "binary"})


class FormMalformed(DomainError):
    """The body is no complete multipart form. Nothing was kept."""

    code = "form_malformed"
    kind = ErrorKind.INVALID


class FormStalled(DomainError):
    """The body stopped coming. Nothing was kept."""

    code = "form_stalled"
    kind = ErrorKind.TIMEOUT


@dataclass(frozen=True, slots=True)
class FormLimits:
    """How much of a form is accepted; sizes in bytes. `idle_seconds` is the longest silence."""

    body_bytes: int
    parts: int = 100
    header_bytes: int = 8192
    headers: int = 8
    field_bytes: int = 64 * 1024
    idle_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class FormPart:
    """The head of a part. `filename` is None for a plain field."""

    name: str
    filename: str | None
    content_type: str | None


@dataclass(slots=True)
class _Head:
    """The headers of a part while they come in pieces."""

    headers: dict[str, str] = field(default_factory=dict)
    name: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)


class FormReader:
    """Reads a form part by part, in the order in which they come.

    Raises `FormMalformed`, `FormStalled`, `BodyTooLarge` and `UnsupportedMediaType`.
    """

    def __init__(
        self, content_type: str | None, content_length: int | None, body: AsyncIterator[bytes], limits: FormLimits
    ) -> None:
        if content_length is not None and content_length > limits.body_bytes:
            raise _body_too_large(limits)
        self._body = body
        self._limits = limits
        self._read = 0
        self._parts = 0
        self._ended = False
        self._head = _Head()
        self._events: deque[FormPart | bytes | None] = deque()
        self._parser = self._make_parser(content_type)

    async def parts(self) -> AsyncIterator[FormPart]:
        """Each part's head; what `content` has not read of a part is skipped when the next is asked for."""
        while self._events or not self._ended:
            event = await self._next()
            if isinstance(event, FormPart):
                yield event

    async def content(self) -> AsyncIterator[bytes]:
        """The bytes of the part that `parts` gave last."""
        while (event := await self._next()) is not None:
            if isinstance(event, bytes):
                yield event

    async def text(self, part: FormPart) -> str:
        """The text of a short field."""
        value = bytearray()
        async for chunk in self.content():
            value += chunk
            if len(value) > self._limits.field_bytes:
                raise BodyTooLarge(
                    f"The field {part.name!r} is longer than {self._limits.field_bytes} bytes. Send less.",
                    field=part.name,
                )
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise FormMalformed(
                f"The field {part.name!r} is not UTF-8. Send text as UTF-8.", field=part.name
            ) from error

    async def _next(self) -> FormPart | bytes | None:
        """The next event; None ends a part, or the form."""
        while not self._events:
            if self._ended:
                return None
            await self._feed()
        return self._events.popleft()

    async def _feed(self) -> None:
        try:
            async with asyncio.timeout(self._limits.idle_seconds):
                chunk = await anext(self._body)
        except TimeoutError as error:
            raise FormStalled(
                f"Nothing came for {self._limits.idle_seconds:g} seconds. Nothing was kept; send it again."
            ) from error
        except StopAsyncIteration:
            raise _malformed("it ends before its closing boundary") from None
        self._read += len(chunk)
        if self._read > self._limits.body_bytes:
            raise _body_too_large(self._limits)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _malformed(str(error)) from error

    def _make_parser(self, content_type: str | None) -> MultipartParser:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data":
            raise UnsupportedMediaType("This route takes a form with a file. Send it as multipart/form-data.")
        boundary = options.get(b"boundary")
        if not boundary:
            raise _malformed("its Content-Type names no boundary")
        try:
            return MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part_begins,
                    "on_header_field": lambda data, start, end: self._head.name.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._head.value.extend(data[start:end]),
                    "on_header_end": self._header_ends,
                    "on_headers_finished": self._head_ends,
                    "on_part_data": lambda data, start, end: self._events.append(data[start:end]),
                    "on_part_end": lambda: self._events.append(None),
                    "on_end": self._form_ends,
                },
                max_header_count=self._limits.headers,
                max_header_size=self._limits.header_bytes,
            )
        except FormParserError as error:
            raise _malformed(str(error)) from error

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > self._limits.parts:
            raise BodyTooLarge(f"The form has more than {self._limits.parts} parts. Send fewer.")
        self._head = _Head()

    def _header_ends(self) -> None:
        name = self._head.name.decode("latin-1").lower()
        self._head.headers[name] = self._head.value.decode(errors="replace")
        self._head.name.clear()
        self._head.value.clear()

    def _head_ends(self) -> None:
        headers = self._head.headers
        if headers.get("content-transfer-encoding", "").strip().lower() not in PLAIN_ENCODINGS:
            raise _malformed("a part has a Content-Transfer-Encoding, which RFC 7578 has done away with")
        kind, options = _disposition(headers.get("content-disposition", ""))
        if kind != "form-data" or "name" not in options:
            raise _malformed("a part has no Content-Disposition of form-data with a name")
        self._events.append(FormPart(options["name"], options.get("filename"), headers.get("content-type")))

    def _form_ends(self) -> None:
        self._ended = True


def _disposition(header: str) -> tuple[str, dict[str, str]]:
    """python-multipart parses Latin-1; browsers send UTF-8."""
    kind, options = parse_options_header(header.encode().decode("latin-1"))
    return kind.decode("latin-1"), {name.decode("latin-1"): value.decode() for name, value in options.items()}


def _malformed(reason: str) -> FormMalformed:
    return FormMalformed(f"The form cannot be read: {reason}. Nothing was kept; send it again, whole.")


def _body_too_large(limits: FormLimits) -> BodyTooLarge:
    return BodyTooLarge(
        f"The body is larger than {limits.body_bytes} bytes, the most that is accepted here. Send a smaller file.",
        details={"max_bytes": limits.body_bytes},
    )
