"""A file as the answer to a request."""

import base64
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cloudyard.domains.files import FileRecord, Files, is_passive
from cloudyard.web.ranges import etag_of, select

# What a browser may still do with a file that it shows: nothing.
SANDBOX = "default-src 'none'; sandbox"
TOKEN = frozenset("!#$&+-.^_`|~ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")


async def file_response(
    request: Request, files: Files, user_id: str, file_id: str, *, inline: bool = False
) -> Response:
    """Answer GET or HEAD with a file that the user may read, its range, or that it has not changed.

    `inline` lets a browser show it, if it is of a type that runs nothing. Types are not guessed by the browser:
    every surface's policy sends nosniff. Raises what `Files.get` and `Files.read` raise.
    """
    record = await files.get(user_id, file_id)
    etag = etag_of(record.sha256)
    selection = select(request.method, request.headers, size=record.size, etag=etag)
    headers = {"etag": etag, "accept-ranges": "bytes", "cache-control": "private, no-cache", **selection.headers()}
    if selection.status not in (200, 206):
        return Response(status_code=selection.status, headers=headers)
    headers |= _described(record, inline=inline)
    headers["content-length"] = str(selection.length)
    if request.method == "HEAD":
        return Response(headers=headers)
    chunks = await files.read(record, start=selection.start, end=selection.end)
    return StreamingResponse(chunks, selection.status, headers)


def content_disposition(filename: str, *, inline: bool = False) -> str:
    """RFC 6266: the name for every client, and exactly for those that read `filename*` (RFC 8187)."""
    kind = "inline" if inline else "attachment"
    if all(c in TOKEN or c == " " for c in filename):
        return f'{kind}; filename="{filename}"'
    plain = "".join(c if c in TOKEN or c == " " else "_" for c in filename)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='!#$&+-.^_`|~')}"


def _described(record: FileRecord, *, inline: bool) -> dict[str, str]:
    digest = base64.b64encode(bytes.fromhex(record.sha256)).decode()
    return {
        "content-type": record.content_type,
        "content-disposition": content_disposition(record.filename, inline=inline and is_passive(record.content_type)),
        "content-security-policy": SANDBOX,
        "repr-digest": f"sha-256=:{digest}:",  # RFC 9530
    }
