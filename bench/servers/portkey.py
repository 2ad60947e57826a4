"""Portkey's open-source gateway (Node) as a peer: one process, no console."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers.upstream import Upstream
from support.load import Target
from support.processes import Running, accepts_connections, free_port, running, wait_until_ready
from support.setup import ensure_portkey


@contextmanager
def portkey(directory: Path, upstream: Upstream) -> Iterator[tuple[Target, Running]]:
    """Run the gateway until the block ends; the upstream is named in each request's headers."""
    home = directory / "portkey"
    home.mkdir()
    port = free_port()
    command: list[str | Path] = [ensure_portkey(), f"--port={port}", "--headless"]
    env = {"NODE_ENV": "production"}
    with running(command, title="Portkey", log=home / "log", env=env, cwd=home) as server:
        wait_until_ready(server, lambda: accepts_connections(port), 60)
        headers = {
            "Authorization": "Bearer unused",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": upstream.base_url,
        }
        yield Target("portkey", f"http://127.0.0.1:{port}/v1/chat/completions", headers), server
