"""A file that comes as a form: streamed to where files are kept, whatever order its fields have."""

from collections.abc import Callable, Mapping, Sequence

from starlette.requests import Request

from cloudyard.domains.files import FileDetails, FileRecord, Files, StagedFile
from cloudyard.foundation.errors import InvalidInput
from cloudyard.web.multipart import FormLimits, FormPart, FormReader

FORM_OVERHEAD_BYTES = 1024 * 1024

Fields = Mapping[str, Sequence[str]]
ReadDetails = Callable[[Fields], FileDetails]


class FormUpload:
    """Takes one file out of a form. The route must be one whose body the surface's policy streams."""

    def __init__(self, files: Files, *, file_field: str = "file") -> None:
        self._files = files
        self._file_field = file_field
        self._limits = FormLimits(body_bytes=files.max_file_bytes + FORM_OVERHEAD_BYTES)

    async def store(self, request: Request, user_id: str, details: ReadDetails) -> FileRecord:
        """Store the file of a request for a user.

        `details` gets the form's other fields, each with all its values, after the last byte has come; the error
        that it raises for them comes out, and nothing is kept, as with the errors of `FormReader` and `Files`.
        """
        reader = FormReader(request.headers.get("content-type"), _length(request), request.stream(), self._limits)
        fields: dict[str, list[str]] = {}
        staged: StagedFile | None = None
        try:
            async for part in reader.parts():
                if part.filename is None:
                    fields.setdefault(part.name, []).append(await reader.text(part))
                else:
                    self._check(part, staged)
                    staged = await self._receive(user_id, part, reader)
            return await self._files.keep(self._present(staged), details(fields))
        except BaseException:
            if staged is not None:
                await self._files.discard(staged)
            raise

    async def _receive(self, user_id: str, part: FormPart, reader: FormReader) -> StagedFile:
        return await self._files.receive(
            user_id, filename=part.filename, content_type=part.content_type, chunks=reader.content()
        )

    def _check(self, part: FormPart, staged: StagedFile | None) -> None:
        if part.name != self._file_field:
            raise InvalidInput(f"A file is taken in the field {self._file_field!r} only.", field=part.name)
        if staged is not None:
            raise InvalidInput(
                "One file is taken at a time; send the others in requests of their own.", field=part.name
            )

    def _present(self, staged: StagedFile | None) -> StagedFile:
        if staged is None:
            raise InvalidInput(
                f"The form has no file. Send one in the field {self._file_field!r}, with a file name.",
                field=self._file_field,
            )
        return staged


def _length(request: Request) -> int | None:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None
