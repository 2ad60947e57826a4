"""The tour: of a real server, and of one whose figures are wrong."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cloudyard.entrypoints.tour.curl import Credential, Upload, curl_line
from cloudyard.entrypoints.tour.shortening import shortened
from cloudyard.testing.server_process import RunningServer, clean_environment, running_server

NOT_PASSED_ON = ("host", "connection", "content-length", "accept-encoding")
ADMIN = {"CLOUDYARD_ADMIN_EMAIL": "root@example.com", "CLOUDYARD_ADMIN_PASSWORD": "a good long one"}
OPEN = "[limits]\nenabled = false\n"  # the tours of this module together log in more often than one visitor may
SETTINGS = "admin_email = '{CLOUDYARD_ADMIN_EMAIL}'\nadmin_password = '{CLOUDYARD_ADMIN_PASSWORD}'\n".format(**ADMIN)
TITLES = (
    "An account",
    "Welcome credits",
    "An API key",
    "A streamed answer",
    "An answer in a form",
    "Embeddings",
    "Chat with a history",
    "A file",
    "A purchase",
    "A webhook",
    "Tools for agents",
    "The books",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server as `script/up` starts it."""
    data_dir = tmp_path_factory.mktemp("served")
    (data_dir / "cloudyard.toml").write_text(SETTINGS + OPEN)
    with running_server(data_dir, "--profile", "development", "--stripe-stand-in") as server:
        yield server


@pytest.fixture
def careful(tmp_path: Path) -> Iterator[RunningServer]:
    """A server that sells nothing and lets no webhook go to its own machine."""
    (tmp_path / "cloudyard.toml").write_text(SETTINGS)
    with running_server(tmp_path) as server:
        yield server


def take_tour(url: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cloudyard", "tour", "--url", url, *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**clean_environment(), **environment}
    )


def stops(said: str) -> dict[str, str]:
    """What was said at each stop, by its title."""
    parts = re.split(r"(?m)^\d+\. (.*)$", said)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_everything_adds_up_on_a_real_server(server: RunningServer) -> None:
    done = take_tour(server.url, "--data-dir", str(server.data_dir), **ADMIN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything on this tour added up." in done.stdout
    assert "The books are right" in done.stdout
    for unwanted in ("WRONG", "skipped", "\x1b", ADMIN["CLOUDYARD_ADMIN_PASSWORD"]):
        assert unwanted not in done.stdout
    said = stops(done.stdout)
    assert tuple(said) == TITLES
    assert re.search(r"ok +the wallet changed by \$10, 1000 credits are \$10", said["A purchase"])
    assert re.search(r"ok +X-Webhook-Signature is the HMAC", said["A webhook"])
    assert re.search(r"ok +webhook-signature is that of Standard Webhooks", said["A webhook"])
    assert '"eventType": "user.updated"' in said["A webhook"]
    assert "Webhook deleted." in said["A webhook"]
    assert re.search(r"tools: .*list_models, chat, .*wallet", said["Tools for agents"])
    assert re.search(r"welcome credit \$10 \+ purchase \$10 - charges ", said["The books"])


def test_without_data_and_password_the_tour_says_what_is_missing(server: RunningServer) -> None:
    done = take_tour(server.url, "--admin-email", "root@example.com", "--admin-password", "wrong")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "On the server itself, `cloudyard ledger verify`" in done.stdout
    assert "skipped  The server does not know root@example.com" in stops(done.stdout)["A webhook"]


def test_what_a_server_does_not_do_is_skipped_with_its_reason(careful: RunningServer) -> None:
    done = take_tour(careful.url, "--data-dir", str(careful.data_dir), **ADMIN)
    assert done.returncode == 0, done.stdout + done.stderr
    said = stops(done.stdout)
    assert re.search(r"skipped .*payments\.stripe_key", said["A purchase"])
    assert re.search(r"skipped .*https", said["A webhook"])
    assert re.search(r"welcome credit \$10 - charges ", said["The books"])


def test_the_command_lines_of_the_tour_can_be_pasted(server: RunningServer) -> None:
    missing = [program for program in ("curl", "openssl") if shutil.which(program) is None]
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"not installed: apt-get install {' '.join(missing)}")
    shown = take_tour(server.url, **ADMIN).stdout
    commands = [
        *re.findall(r"(?m)^  (?:TOKEN|KEY|SECRET)=.*$", shown),
        *re.findall(r"(?ms)^  ADMIN=\$\(.*?\)$", shown),
        *re.findall(r"(?m)^  curl (?:.*\\\n)*.*(?:/v1/emb|/mcp)(?:.*\\\n)*.*$", shown),
        'curl -s -H "Authorization: Bearer $ADMIN" ' + server.url + "/aihub/api/admin/webhooks",
        *re.findall(r"(?m)^  printf .*eventId.*\n.*openssl.*$", shown),
    ]
    assert len(commands) == 8
    environment = {**clean_environment(), **ADMIN}
    words = ["bash", "-c", "\n".join(commands)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert '"embedding"' in done.stdout
    assert '"structuredContent"' in done.stdout
    assert '"success":true,"data":[]' in done.stdout, "the tour's webhook is deleted again"
    signature = re.search(r"x-webhook-signature: sha256=(\w+)", shown)
    assert signature is not None and signature[1] in done.stdout


class Liar(BaseHTTPRequestHandler):
    """Passes requests on, and doubles every cost in the answers."""

    behind: str

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def do_PUT(self) -> None:
        self._pass_on()

    def do_DELETE(self) -> None:
        self._pass_on()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in NOT_PASSED_ON}
        answer = httpx2.request(
            self.command, self.behind + self.path, content=body, headers=headers, timeout=120, trust_env=False
        )
        content = re.sub(rb'"cost": ?([0-9.e-]+)', lambda found: b'"cost":%g' % (2 * float(found[1])), answer.content)
        self.send_response(answer.status_code)
        self.send_header("content-type", answer.headers["content-type"])
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def lying_url(server: RunningServer) -> Iterator[str]:
    handler = type("LiarBefore", (Liar,), {"behind": server.url})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}"
        proxy.shutdown()
        thread.join()


def test_a_price_that_is_not_what_the_wallet_lost_fails_the_tour(lying_url: str) -> None:
    done = take_tour(lying_url)
    assert done.returncode == 1
    assert re.search(r"WRONG +the wallet changed by \$[0-9.]+, the price is", done.stdout)
    assert "Everything on this tour added up" not in done.stdout
    assert "figures were wrong" in done.stderr
    assert "skipped  Administrators create webhooks: set CLOUDYARD_ADMIN_EMAIL" in stops(done.stdout)["A webhook"]


def test_a_server_of_another_kind_ends_the_tour_in_one_line(tmp_path: Path) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        done = take_tour(f"http://127.0.0.1:{other.server_address[1]}")
        other.shutdown()
        thread.join()
    assert done.returncode == 1
    assert "has not the shape that its document shows" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_command_line_quotes_what_a_shell_would_change() -> None:
    body = """{"text": "it's $HOME"}"""
    line = curl_line("POST", "http://127.0.0.1/x?a=1&b=2", credential=Credential("KEY", "secret"), body=body)
    words = shlex.split(line.replace("\\\n", " "))
    assert words[:2] == ["curl", "http://127.0.0.1/x?a=1&b=2"]
    assert words[words.index("-d") + 1] == body
    assert "secret" not in line


def test_a_command_line_with_a_file_reads_it_from_the_pipe() -> None:
    line = curl_line("POST", "http://127.0.0.1/f", upload=Upload("file", "a.txt", "some words", "text/plain"))
    assert line.startswith("printf '%s' 'some words' |\ncurl http://127.0.0.1/f")
    assert "-F 'file=@-;filename=a.txt;type=text/plain'" in line


def test_what_is_left_out_of_an_answer_is_said() -> None:
    assert shortened({"numbers": list(range(10))}) == {"numbers": [0, 1, 2, 3, "... and 6 more"]}
    assert shortened("x" * 1000).endswith("... and 800 more characters")
    assert shortened(["short", 1, None, True]) == ["short", 1, None, True]
