"""Files, as OpenAI's Files API has them."""

import re
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from cloudyard.domains.files import FileDetails
from cloudyard.domains.identity.records import Principal, Scope
from cloudyard.foundation.errors import InvalidInput
from cloudyard.surfaces.openai.documents import IDEMPOTENCY_KEY
from cloudyard.surfaces.openai.mapping import file_list, file_object
from cloudyard.surfaces.openai.policy import FILES_PATH
from cloudyard.surfaces.openai.schemas import Deleted, FileList, FileObject
from cloudyard.surfaces.openai.services import Core
from cloudyard.web.authentication import require_scope
from cloudyard.web.downloads import file_response
from cloudyard.web.uploads import Fields, FormUpload

PURPOSES = ("assistants", "batch", "evals", "fine-tune", "user_data", "vision")
MOST_FILES = 10_000
SHORTEST_LIFE = 3600
LONGEST_LIFE = 30 * 24 * 3600
DIGITS = re.compile(r"[0-9]{1,9}")

router = APIRouter(tags=["Files"])
Caller = Annotated[Principal, Depends(require_scope(Scope.FILES))]

UPLOAD_FORM = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file", "purpose"],
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "purpose": {"type": "string", "enum": list(PURPOSES)},
                    "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
                    "expires_after[seconds]": {"type": "integer", "minimum": SHORTEST_LIFE, "maximum": LONGEST_LIFE},
                },
            }
        }
    },
}


@router.post(FILES_PATH, openapi_extra={"requestBody": UPLOAD_FORM, "parameters": [IDEMPOTENCY_KEY]})
async def create_file(request: Request, core: Core, principal: Caller) -> FileObject:
    """Upload a file. Its bytes are streamed to where files are kept."""
    record = await FormUpload(core.files, core.idempotency).store(request, principal.user_id, _details)
    return file_object(record)


@router.get(FILES_PATH)
async def list_files(
    core: Core,
    principal: Caller,
    after: Annotated[str | None, Query(description="The id of the file behind which the page begins.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_FILES)] = MOST_FILES,
    order: Literal["asc", "desc"] = "desc",
    purpose: str | None = None,
) -> FileList:
    """The caller's files, newest first unless asked otherwise."""
    records, has_more = await core.files.page(
        principal.user_id, limit=limit, after=after, newest_first=order == "desc", purpose=purpose
    )
    return file_list(records, has_more=has_more)


@router.get(FILES_PATH + "/{file_id}")
async def retrieve_file(core: Core, file_id: str, principal: Caller) -> FileObject:
    """What is known of a file."""
    return file_object(await core.files.get(principal.user_id, file_id))


@router.delete(FILES_PATH + "/{file_id}")
async def delete_file(core: Core, file_id: str, principal: Caller) -> Deleted:
    """Delete a file."""
    await core.files.delete(principal.user_id, file_id)
    return Deleted(id=file_id, object="file")


@router.get(FILES_PATH + "/{file_id}/content", response_class=Response)
async def retrieve_file_content(request: Request, core: Core, file_id: str, principal: Caller) -> Response:
    """The bytes of a file; ranges and conditional requests work."""
    return await file_response(request, core.files, principal.user_id, file_id)


def _details(fields: Fields) -> FileDetails:
    purpose = fields.get("purpose", [""])[-1]
    if purpose not in PURPOSES:
        raise InvalidInput(f"purpose must be one of {', '.join(PURPOSES)}.", field="purpose")
    return FileDetails(purpose=purpose, expires_in=_life(fields))


def _life(fields: Fields) -> timedelta | None:
    seconds = fields.get("expires_after[seconds]", [""])[-1]
    anchor = fields.get("expires_after[anchor]", [""])[-1]
    if not seconds and not anchor:
        return None
    if anchor != "created_at":
        raise InvalidInput("The only anchor of an expiry is created_at.", field="expires_after.anchor")
    if not (DIGITS.fullmatch(seconds) and SHORTEST_LIFE <= int(seconds) <= LONGEST_LIFE):
        raise InvalidInput(f"A file may live {SHORTEST_LIFE} to {LONGEST_LIFE} seconds.", field="expires_after.seconds")
    return timedelta(seconds=int(seconds))
