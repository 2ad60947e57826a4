"""The caller's files (pynode.md, File Management)."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from cloudyard.domains.files import FileDetails
from cloudyard.domains.identity import Principal, Scope
from cloudyard.surfaces.pynode import mapping
from cloudyard.surfaces.pynode.policy import UPLOAD_PATH
from cloudyard.surfaces.pynode.schemas import File, FileList, Message
from cloudyard.surfaces.pynode.services import Core
from cloudyard.web.authentication import require_scope
from cloudyard.web.downloads import file_response
from cloudyard.web.paging import Window, window
from cloudyard.web.uploads import Fields, FormUpload

MOST_FILES = 200

router = APIRouter(tags=["File Management"])

MayUseFiles = Annotated[Principal, Depends(require_scope(Scope.FILES))]

FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}
BYTES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}},
    206: {"description": "The range that was asked for."},
    304: {"description": "The file has not changed."},
    416: {"description": "There is no such range in the file."},
}


@router.post(UPLOAD_PATH, openapi_extra=FORM)
async def upload_file(request: Request, principal: MayUseFiles, core: Core) -> File:
    """Store the file in the form's field `file`."""
    record = await FormUpload(core.files, core.idempotency).store(request, principal.user_id, _no_details)
    return mapping.file(record, request)


@router.get("/api/files")
async def list_files(
    at: Annotated[Window, Depends(window(default=50, most=MOST_FILES))],
    request: Request,
    principal: MayUseFiles,
    core: Core,
) -> FileList:
    """The caller's files, newest first."""
    records, total = await core.files.list(principal.user_id, limit=at.limit, offset=at.offset)
    files = [mapping.file(record, request) for record in records]
    return FileList(files=files, total=total, limit=at.limit, offset=at.offset)


@router.get("/api/files/{id}")
async def read_file(id: str, request: Request, principal: MayUseFiles, core: Core) -> File:
    """What is known of a file."""
    return mapping.file(await core.files.get(principal.user_id, id), request)


@router.head("/api/files/{id}/download", include_in_schema=False)
@router.get("/api/files/{id}/download", responses=BYTES, response_class=Response)
async def download_file(id: str, request: Request, principal: MayUseFiles, core: Core) -> Response:
    """The bytes of a file, or a range of them."""
    return await file_response(request, core.files, principal.user_id, id)


@router.delete("/api/files/{id}")
async def delete_file(id: str, principal: MayUseFiles, core: Core) -> Message:
    """Delete a file."""
    await core.files.delete(principal.user_id, id)
    return Message(message="File deleted successfully")


def _no_details(_fields: Fields) -> FileDetails:
    return FileDetails()
