"""A file that comes as a form: streamed to where files are kept, whatever order its fields have."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from starlette.requests import Request

from cloudyard.domains.files import FileDetails, FileRecord, Files, StagedFile
from cloudyard.foundation.durable import IdempotencyKeys, StoredAnswer
from cloudyard.foundation.durable.idempotency import KeyClaim
from cloudyard.foundation.errors import InvalidInput
from cloudyard.web.idempotency import HEADER, fingerprint, once, scope_of
from cloudyard.web.multipart import FormLimits, FormPart, FormReader

FORM_OVERHEAD_BYTES = 1024 * 1024
OPERATION = "files.upload"

Fields = Mapping[str, Sequence[str]]
ReadDetails = Callable[[Fields], FileDetails]


class FormUpload:
    """Takes one file out of a form. The route must be one whose body the surface's policy streams.

    Honours Idempotency-Key: the same key with the same file and fields gives the file of the first time.
    """

    def __init__(self, files: Files, keys: IdempotencyKeys, *, file_field: str = "file") -> None:
        self._files = files
        self._keys = keys
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
            return await self._keep(request, self._present(staged), fields, details(fields))
        except BaseException:
            if staged is not None:
                await self._files.discard(staged)
            raise

    async def _keep(
        self, request: Request, staged: StagedFile, fields: Mapping[str, list[str]], details: FileDetails
    ) -> FileRecord:
        key = request.headers.get(HEADER)
        if key is None:
            return await self._files.keep(staged, details)
        said = msgspec.json.encode([staged.sha256, staged.filename, sorted(fields.items())])

        async def produce(_claim: KeyClaim) -> StoredAnswer:
            return StoredAnswer(201, {}, (await self._files.keep(staged, details)).id.encode())

        scope = scope_of(staged.user_id, OPERATION)
        answer = await once(self._keys, scope, key, fingerprint(request.method, request.url.path, said), produce)
        file_id = answer.body.decode() if answer is not None else staged.id
        if file_id != staged.id:
            await self._files.discard(staged)
        return await self._files.get(staged.user_id, file_id)

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
