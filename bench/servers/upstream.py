"""The model provider behind every gateway: nginx on loopback with one fixed chat completion."""

import json
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.console import BenchError
from support.http import answers
from support.load import Target
from support.processes import free_port, running, wait_until_ready

MODEL = "gpt-4o-mini"
"""A name that every gateway has in its own price list."""

SENTENCE = "A ledger keeps two sides of every entry, and they always agree."
COMPLETION = {
    "id": "chatcmpl-bench",
    "object": "chat.completion",
    "created": 1760000000,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": SENTENCE, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 24, "completion_tokens": 16, "total_tokens": 40},
    "system_fingerprint": "fp_bench",
}
REQUEST = json.dumps(
    {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "You answer in one short sentence."},
            {"role": "user", "content": "What does a double-entry ledger do?"},
        ],
        "max_tokens": 64,
        "temperature": 0.2,
    }
)

# One connection must live for a whole run: nginx's default closes it after 1,000 requests.
CONFIGURATION = """
worker_processes 1;
error_log stderr warn;
pid {directory}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 100000000;
    tcp_nodelay on;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type application/json;
        location = /v1/chat/completions {{ return 200 '{completion}'; }}
        location = /counters {{ stub_status; }}
        location = /healthy {{ return 200 '{{}}'; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Upstream:
    """The running upstream."""

    port: int

    @property
    def base_url(self) -> str:
        """The base URL of an OpenAI-compatible provider, with /v1."""
        return f"http://127.0.0.1:{self.port}/v1"

    def direct(self) -> Target:
        """The upstream itself as a target: what the load generator and nginx can do alone."""
        return Target("direct", f"{self.base_url}/chat/completions")

    def requests_taken(self) -> int:
        """Requests that nginx has taken since it started, this question included."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/counters", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return int(lines[2].split()[2])


@contextmanager
def upstream(directory: Path) -> Iterator[Upstream]:
    """Run nginx with the fixed completion until the block ends."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if nginx is None:
        raise BenchError("nginx is not installed although the set-up ran: install it and try again.")
    home = directory / "upstream"
    home.mkdir()
    port = free_port()
    configuration = home / "nginx.conf"
    completion = json.dumps(COMPLETION)
    configuration.write_text(CONFIGURATION.format(directory=home, port=port, completion=completion))
    command: list[str | Path] = [nginx, "-p", home, "-c", configuration, "-g", "daemon off;"]
    with running(command, title="nginx (upstream)", log=home / "log") as server:
        wait_until_ready(server, lambda: answers(f"http://127.0.0.1:{port}/healthy"), 10)
        yield Upstream(port)
