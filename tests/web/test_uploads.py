"""Files over a real HTTP server: forms in, ranges out, and connections that break."""

import asyncio
import hashlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cloudyard.backends.objects import LocalObjects
from cloudyard.domains.files import FileDetails, FileReconciler, Files
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import IdempotencyKeys
from cloudyard.foundation.errors import DomainError, InvalidInput
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.settings.files import FileSettings
from cloudyard.testing.files import Left
from cloudyard.testing.live_server import serving
from cloudyard.testing.tables import create_tables
from cloudyard.web.downloads import file_response
from cloudyard.web.errors import StatusTable
from cloudyard.web.uploads import Fields, FormUpload

MAX_FILE = 5_000_000
QUOTA = 20_000_000
WAIT_SECONDS = 20


def read_details(fields: Fields) -> FileDetails:
    kind = fields.get("file_type", ["other"])[-1]
    if kind not in ("dataset", "model", "other"):
        raise InvalidInput("There is no such type of file.", field="file_type")
    return FileDetails(purpose=kind, tags=tuple(fields.get("tags", ())))


async def post(request: Request) -> Response:
    state = request.app.state
    record = await state.uploads.store(request, request.headers["x-user"], read_details)
    shown = {"id": record.id, "filename": record.filename, "size": record.size, "sha256": record.sha256}
    return JSONResponse({**shown, "type": record.content_type, "purpose": record.purpose}, 201)


async def get(request: Request) -> Response:
    inline = "inline" in request.query_params
    user = request.headers.get("x-user", "ann")
    return await file_response(request, request.app.state.files, user, request.path_params["id"], inline=inline)


async def failed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, DomainError)
    return JSONResponse({"code": error.code, "field": error.field}, StatusTable()(error))


def make_app(url: str, directory: Path) -> Starlette:
    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        database, ids, clock = Database(url), SystemIds(), SystemClock()
        await create_tables(database)
        objects = LocalObjects(directory, ids)
        settings = FileSettings(max_file_bytes=MAX_FILE, user_quota_bytes=QUOTA)
        app.state.files = Files(database, clock, ids, objects, settings)
        app.state.uploads = FormUpload(app.state.files, IdempotencyKeys(database, clock))
        yield
        await objects.close()
        await database.close()

    routes = [Route("/files", post, methods=["POST"]), Route("/files/{id}", get, methods=["GET", "HEAD"])]
    return Starlette(routes=routes, lifespan=life, exception_handlers={DomainError: failed})


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with serving(make_app(f"sqlite:///{tmp_path / 'files.db'}", tmp_path / "objects"), lifespan=True) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=url, headers={"x-user": "ann"}, timeout=WAIT_SECONDS) as client:
        yield client


class Aftermath:
    """What another process finds after the server was through with an upload."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def nothing_is_left(self) -> bool:
        """Whether all of it is gone."""
        return asyncio.run(self.look()) == (0, 0, 0)

    async def look(self) -> tuple[int, int, int]:
        """Files on disk, rows and counted bytes, after the reconciler."""
        database = Database(f"sqlite:///{self._directory / 'files.db'}")
        objects = LocalObjects(self._directory / "objects", SystemIds())
        try:
            await FileReconciler(database, SystemClock(), objects).run()
            return await Left(database, self._directory / "objects").anything()
        finally:
            await objects.close()
            await database.close()


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it comes true."""
    until = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def aftermath(tmp_path: Path) -> Aftermath:
    return Aftermath(tmp_path)


def test_a_file_goes_up_and_down(client: httpx2.Client) -> None:
    content = os.urandom(3_000_000)
    up = client.post("/files", files={"file": ("data.bin", content)}, data={"file_type": "dataset"})
    assert up.status_code == 201
    assert up.json()["size"] == len(content)
    assert up.json()["purpose"] == "dataset"
    down = client.get(f"/files/{up.json()['id']}")
    assert down.content == content
    assert down.headers["content-length"] == str(len(content))
    assert down.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    assert down.headers["content-disposition"] == 'attachment; filename="data.bin"'
    assert down.headers["content-security-policy"] == "default-src 'none'; sandbox"


@pytest.mark.parametrize("file_first", [True, False])
def test_fields_may_come_before_or_after_the_file(client: httpx2.Client, file_first: bool) -> None:
    parts = [("file", ("a.txt", b"words")), ("file_type", (None, b"model"))]
    up = client.post("/files", files=parts if file_first else parts[::-1])
    assert (up.status_code, up.json()["purpose"], up.json()["type"]) == (201, "model", "text/plain")


def test_a_bad_field_behind_the_file_keeps_nothing(client: httpx2.Client, aftermath: Aftermath) -> None:
    parts = [("file", ("a.txt", bytes(1_000_000))), ("file_type", (None, b"sandwich"))]
    up = client.post("/files", files=parts)
    assert (up.status_code, up.json()) == (400, {"code": "invalid_input", "field": "file_type"})
    assert aftermath.nothing_is_left()


@pytest.mark.parametrize(
    "parts",
    [
        [("note", (None, b"no file here"))],
        [("file", (None, b"a field and no file"))],
        [("other", ("a.txt", b"a file in another field"))],
        [("file", ("a.txt", b"1")), ("file", ("b.txt", b"2"))],
    ],
)
def test_no_file_or_one_too_many(
    client: httpx2.Client, aftermath: Aftermath, parts: list[tuple[str, tuple[str | None, bytes]]]
) -> None:
    up = client.post("/files", files=parts)
    assert (up.status_code, up.json()["code"]) == (400, "invalid_input")
    assert up.json()["field"] in ("file", "other")
    assert aftermath.nothing_is_left()


@pytest.mark.parametrize("size", [MAX_FILE + 1, MAX_FILE + 3_000_000, 60_000_000])
def test_a_file_over_the_limit(client: httpx2.Client, aftermath: Aftermath, size: int) -> None:
    """Also where the server answers before it has read everything."""
    up = client.post("/files", files={"file": ("a", bytes(size))})
    assert up.status_code == 413
    assert aftermath.nothing_is_left()


def test_a_body_of_unknown_length_is_limited_too(client: httpx2.Client, aftermath: Aftermath) -> None:
    def body() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        for _ in range(20_000_000 // 65_536):
            yield bytes(65_536)
        yield b"\r\n--b--\r\n"

    up = client.post("/files", content=body(), headers={"content-type": "multipart/form-data; boundary=b"})
    assert (up.status_code, up.json()["code"]) == (413, "file_too_large")
    assert aftermath.nothing_is_left()


def test_a_full_quota(client: httpx2.Client) -> None:
    for _ in range(4):
        assert client.post("/files", files={"file": ("a", bytes(MAX_FILE))}).status_code == 201
    up = client.post("/files", files={"file": ("a", b"x")})
    assert (up.status_code, up.json()["code"]) == (413, "storage_quota_exceeded")


def test_what_is_no_form(client: httpx2.Client) -> None:
    assert client.post("/files", json={"file": "x"}).status_code == 415
    up = client.post("/files", content=b"x", headers={"content-type": "multipart/form-data; boundary=b"})
    assert (up.status_code, up.json()["code"]) == (400, "form_malformed")


def test_a_form_without_its_end(client: httpx2.Client, aftermath: Aftermath) -> None:
    """Whole by its Content-Length, but without the closing boundary."""
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n' + bytes(1_000_000)
    up = client.post("/files", content=body, headers={"content-type": "multipart/form-data; boundary=b"})
    assert (up.status_code, up.json()["code"]) == (400, "form_malformed")
    assert aftermath.nothing_is_left()


@pytest.mark.parametrize(("sent", "rows"), [(0, 0), (1000, 0), (400_000, 1), (2_000_000, 1)])
def test_a_client_that_leaves_in_mid_upload(
    url: str, client: httpx2.Client, aftermath: Aftermath, sent: int, rows: int
) -> None:
    place = urlsplit(url)
    head = (
        "POST /files HTTP/1.1\r\nHost: test\r\nX-User: ann\r\nContent-Length: 4000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    )
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.sendall(head.encode() + bytes(sent))
        assert eventually(lambda: asyncio.run(aftermath.look())[1] == rows)
    assert eventually(aftermath.nothing_is_left)
    assert client.post("/files", files={"file": ("a", b"x")}).status_code == 201


def test_the_same_key_and_file_give_one_file(client: httpx2.Client) -> None:
    def send(content: bytes, kind: str = "model") -> httpx2.Response:
        return client.post(
            "/files",
            files={"file": ("a", content)},
            data={"file_type": kind},
            headers={"idempotency-key": "once", "x-user": "ann"},
        )

    first, again = send(b"1"), send(b"1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    for other in (send(b"2"), send(b"1", "dataset")):
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    bobs = client.post("/files", files={"file": ("a", b"1")}, headers={"idempotency-key": "once", "x-user": "bob"})
    assert bobs.json()["id"] != first.json()["id"]


def test_ranges_and_conditions(client: httpx2.Client) -> None:
    content = os.urandom(2_500_000)
    path = "/files/" + client.post("/files", files={"file": ("a", content)}).json()["id"]
    whole = client.head(path)
    assert (whole.status_code, whole.content) == (200, b"")
    assert (whole.headers["content-length"], whole.headers["accept-ranges"]) == ("2500000", "bytes")
    part = client.get(path, headers={"range": "bytes=1000000-2200000"})
    assert (part.status_code, part.content) == (206, content[1_000_000:2_200_001])
    assert part.headers["content-range"] == "bytes 1000000-2200000/2500000"
    assert client.get(path, headers={"range": "bytes=-5"}).content == content[-5:]
    beyond = client.get(path, headers={"range": "bytes=2500000-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */2500000")
    etag = whole.headers["etag"]
    unchanged = client.get(path, headers={"if-none-match": etag})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", etag)
    changed = client.get(path, headers={"range": "bytes=0-1", "if-range": '"other"'})
    assert (changed.status_code, len(changed.content)) == (200, len(content))


def test_only_what_runs_nothing_is_shown_in_place(client: httpx2.Client) -> None:
    for name, content, kind in (
        ("a.png", b"\x89PNG\r\n\x1a\n\x00", "inline"),
        ("a.html", b"<html><script>", "attachment"),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "attachment"),
        ("a.png", b"<html><script>", "attachment"),
    ):
        path = "/files/" + client.post("/files", files={"file": (name, content)}).json()["id"]
        assert client.get(path, params={"inline": "1"}).headers["content-disposition"].startswith(kind)
        assert client.get(path).headers["content-disposition"].startswith("attachment")


def test_another_users_file_is_not_found(client: httpx2.Client) -> None:
    path = "/files/" + client.post("/files", files={"file": ("a", b"x")}).json()["id"]
    for method in ("GET", "HEAD"):
        assert client.request(method, path, headers={"x-user": "bob"}).status_code == 404


def test_a_download_that_breaks_is_never_a_shorter_file(client: httpx2.Client, tmp_path: Path) -> None:
    path = "/files/" + client.post("/files", files={"file": ("a", bytes(4_000_000))}).json()["id"]
    stored = next(found for found in (tmp_path / "objects").rglob("file-*"))
    with pytest.raises(httpx2.RemoteProtocolError), client.stream("GET", path) as down:
        chunks = down.iter_bytes()
        next(chunks)
        os.truncate(stored, 100)
        for _ in chunks:
            pass


@pytest.mark.parametrize("name", ["../../../etc/passwd", "con.txt", "a\u202egnp.exe", "x" * 3000, "\u65e5\u672c.txt"])
def test_hostile_names_are_made_safe(client: httpx2.Client, name: str) -> None:
    up = client.post("/files", files={"file": (name, b"x")})
    assert up.status_code == 201
    kept = up.json()["filename"]
    assert not set(kept) & set("/\\\u202e")
    assert len(kept.encode()) <= 200
    assert client.get(f"/files/{up.json()['id']}").status_code == 200
