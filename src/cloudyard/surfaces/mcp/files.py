"""The caller's own files: never those that others made public."""

from collections.abc import AsyncIterator

from cloudyard.domains.files import FileNotFound, FileRecord, Files
from cloudyard.domains.identity import Principal
from cloudyard.foundation.errors import InvalidInput
from cloudyard.surfaces.mcp.views import FileInfo, FilePage, FileText, file_info

PIECE_BYTES = 64 * 1024
LONGEST_CHARACTER = 4
MOST_RESOURCE_BYTES = 1024 * 1024
TEXT_TYPES = ("application/json", "application/xml", "application/yaml", "application/toml", "application/javascript")


class OwnFiles:
    """Reads and writes the files of whoever is calling."""

    def __init__(self, files: Files) -> None:
        self._files = files

    async def page(self, caller: Principal, *, limit: int, after: str | None) -> FilePage:
        """A page of files, newest first. Raises `FileNotFound` for what cannot follow a page."""
        records, more = await self._files.page(caller.user_id, limit=limit, after=after)
        return FilePage(files=[file_info(record) for record in records], next=records[-1].id if more else None)

    async def text(self, caller: Principal, file_id: str, offset: int) -> FileText:
        """A piece of a text file from a byte on. Raises `FileNotFound`, and `InvalidInput` for what is no text."""
        record = await self.get(caller, file_id)
        if offset > record.size:
            raise InvalidInput(f"The file has {record.size} bytes; `offset` is beyond its end.", field="offset")
        end = min(offset + PIECE_BYTES, record.size)
        raw = await self._bytes(record, offset, end)
        text, used = _decoded(raw, last=end == record.size)
        reached = offset + used
        return FileText(
            file=file_info(record), text=text, next_offset=reached if used and reached < record.size else None
        )

    async def content(self, caller: Principal, file_id: str) -> tuple[FileRecord, bytes]:
        """A whole file, if it is not too large to be sent at once. Raises `FileNotFound`, `InvalidInput`."""
        record = await self.get(caller, file_id)
        if record.size > MOST_RESOURCE_BYTES:
            raise InvalidInput(
                f"The file has {record.size} bytes, and at most {MOST_RESOURCE_BYTES} are sent as a resource. Read it "
                f"piece by piece with `read_file`, or download it from /v1/files/{record.id}/content."
            )
        return record, await self._bytes(record, 0, record.size)

    async def upload(self, caller: Principal, filename: str, text: str, content_type: str | None) -> FileInfo:
        """Keep a text as a file. Raises what `Files.upload` raises."""
        try:
            raw = text.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput("The text has half a character in it: leave it out.", field="text") from error

        async def chunks() -> AsyncIterator[bytes]:
            yield raw

        record = await self._files.upload(
            caller.user_id,
            filename=filename,
            content_type=content_type or "text/plain; charset=utf-8",
            chunks=chunks(),
            purpose="user_data",
            size_hint=len(raw),
        )
        return file_info(record)

    async def delete(self, caller: Principal, file_id: str) -> None:
        """Delete a file. Raises `FileNotFound`."""
        await self._files.delete(caller.user_id, file_id)

    async def get(self, caller: Principal, file_id: str) -> FileRecord:
        """What is known of a file. Raises `FileNotFound`."""
        record = await self._files.get(caller.user_id, file_id)
        if record.user_id != caller.user_id:
            raise FileNotFound(f"You have no file {file_id!r}. List your files to see their ids.")
        return record

    async def _bytes(self, record: FileRecord, start: int, end: int) -> bytes:
        if start == end:
            return b""
        return b"".join([piece async for piece in await self._files.read(record, start=start, end=end)])


def is_text(content_type: str) -> bool:
    """Whether a type of content is text."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind in TEXT_TYPES or kind.endswith(("+json", "+xml"))


def _decoded(raw: bytes, *, last: bool) -> tuple[str, int]:
    """The text, and how many bytes it took: a character that is cut off at the end belongs to the next piece."""
    try:
        return raw.decode(), len(raw)
    except UnicodeDecodeError as error:
        if last or error.end != len(raw) or len(raw) - error.start >= LONGEST_CHARACTER or error.start == 0:
            raise InvalidInput(
                "The file is no UTF-8 text (or `offset` is inside of a character). Read it as the resource "
                "`cloudyard://files/{id}`, which has its bytes."
            ) from error
        return raw[: error.start].decode(), error.start
