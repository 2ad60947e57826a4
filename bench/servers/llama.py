"""xllamacpp driven directly: its own OpenAI HTTP server in a process of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers.cloudyard import DIRECT_CONTEXT, DIRECT_PARALLEL, LOCAL_THREADS
from support.http import answers
from support.load import Target
from support.processes import Running, free_port, running, wait_until_ready

from cloudyard.backends.local_models.process import ENGINE_DEFAULTS

PROGRAM = Path(__file__).resolve().parent.parent / "llama_process.py"


@contextmanager
def llama(directory: Path, model: Path) -> Iterator[tuple[Target, Running]]:
    """Serve the model with the same slots, context, threads and settings of the engine as Cloudyard's worker."""
    port = free_port()
    numbers = [str(number) for number in (port, DIRECT_PARALLEL, DIRECT_CONTEXT, LOCAL_THREADS)]
    command = [sys.executable, PROGRAM, model, *numbers]
    log = directory / "llama.log"
    with running(command, title="xllamacpp", log=log, env=ENGINE_DEFAULTS) as server:
        wait_until_ready(server, lambda: answers(f"http://127.0.0.1:{port}/health"), 60)
        yield Target("direct", f"http://127.0.0.1:{port}/v1/chat/completions"), server
