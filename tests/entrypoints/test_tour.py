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
from cloudyard.testing.server_process import RunningServer, clean_environment

PASSED_ON = ("authorization", "content-type")


def take_tour(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cloudyard", "tour", "--url", url, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment())


def test_everything_adds_up_on_a_real_server(server: RunningServer) -> None:
    done = take_tour(server.url, "--data-dir", str(server.data_dir))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything on this tour added up." in done.stdout
    assert "The books are right" in done.stdout
    assert "WRONG" not in done.stdout
    assert "\x1b" not in done.stdout
    for title in ("An account", "Welcome credits", "An API key", "A streamed answer", "Embeddings", "A file"):
        assert re.search(rf"^\d+\. {title}$", done.stdout, re.MULTILINE), title


def test_without_the_data_the_tour_says_where_the_ledger_is_verified(server: RunningServer) -> None:
    done = take_tour(server.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "On the server itself, `cloudyard ledger verify`" in done.stdout


def test_the_command_lines_of_the_tour_can_be_pasted(server: RunningServer) -> None:
    if shutil.which("curl") is None and os.environ.get("CI") != "true":
        pytest.skip("curl is not installed: apt-get install curl")
    shown = take_tour(server.url).stdout
    commands = re.findall(r"(?m)^  (?:[A-Z]+=.*|curl (?:.*\\\n)*.*)$", shown)
    chosen = [
        command for command in commands if command.lstrip().startswith(("KEY=", "TOKEN=")) or "/v1/emb" in command
    ]
    done = subprocess.run(["bash", "-c", "\n".join(chosen)], capture_output=True, text=True, check=True)
    assert '"embedding"' in done.stdout


class Liar(BaseHTTPRequestHandler):
    """Passes requests on, and doubles every cost in the answers."""

    behind: str

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def do_DELETE(self) -> None:
        self._pass_on()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() in PASSED_ON}
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
