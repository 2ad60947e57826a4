"""LiteLLM's proxy as a peer: one worker, no database, no spend tracking, logging turned down."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers.upstream import MODEL, Upstream
from support.http import answers
from support.load import Target
from support.processes import Running, free_port, running, wait_until_ready
from support.setup import ensure_litellm

CONFIGURATION = """
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: {base_url}
      api_key: unused
litellm_settings:
  telemetry: false
  set_verbose: false
general_settings:
  master_key: {key}
  disable_spend_logs: true
  disable_spend_updates: true
"""
# LITELLM_MODE and LITELLM_LOG are what its own documents advise for production; the local price map
# keeps it from the network.
ENVIRONMENT = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}


@contextmanager
def litellm(directory: Path, upstream: Upstream) -> Iterator[tuple[Target, Running]]:
    """Run the proxy in front of the upstream until the block ends."""
    home = directory / "litellm"
    home.mkdir()
    key, port = f"sk-{secrets.token_hex(16)}", free_port()
    configuration = home / "config.yaml"
    configuration.write_text(CONFIGURATION.format(model=MODEL, base_url=upstream.base_url, key=key))
    command: list[str | Path] = [
        ensure_litellm(),
        "--config",
        configuration,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    command += ["--num_workers", "1"]
    with running(command, title="LiteLLM", log=home / "log", env=ENVIRONMENT, cwd=home) as server:
        wait_until_ready(server, lambda: answers(f"http://127.0.0.1:{port}/health/liveliness"), 120)
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        yield Target("litellm", url, {"Authorization": f"Bearer {key}"}), server
