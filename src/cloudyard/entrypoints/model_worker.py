"""Runs one local model: `python -m cloudyard.entrypoints.model_worker NAME`, started by the server and never by hand.

Reads a WorkerOrder from stdin, loads the model, serves the OpenAI API on a free port of 127.0.0.1 and writes a
WorkerReport to stdout. Ends on SIGTERM, when stdin is closed, and when the parent dies. Its log goes to stderr.
"""

import ctypes
import os
import resource
import signal
import sys
import threading

import msgspec
import xllamacpp

from cloudyard.backends.local_models.handshake import WorkerOrder, WorkerReport, encode_line

PR_SET_PDEATHSIG = 1
LOG_ERRORS = 1
# The kernel takes a worker before the server when memory runs out (proc(5), range -1000..1000).
FIRST_TO_GO_SCORE = 500
# What a model with a sliding window keeps of a conversation, each up to some 150 MiB a slot; by default there are 32.
CHECKPOINTS = 2


def main() -> None:
    """Load the model that stdin names and serve it until the parent wants no more."""
    stdout = _reserve_stdout()
    _die_with_parent()
    line = sys.stdin.buffer.readline()
    if not line:
        return
    order = msgspec.json.decode(line, type=WorkerOrder)
    threading.Thread(target=_exit_at_end_of_input, daemon=True).start()
    try:
        server = xllamacpp.Server(_parameters(order))
    except RuntimeError as error:
        os.write(stdout, encode_line(WorkerReport(error=str(error))))
        sys.exit(1)
    _limit_memory(order.working_memory)
    os.write(stdout, encode_line(WorkerReport(base_url=f"{server.listening_address}/v1")))
    while True:
        signal.pause()


def _reserve_stdout() -> int:
    """A descriptor for the report; whatever else is printed joins the log, so that the report stays one line."""
    reserved = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return reserved


def _die_with_parent() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - a kernel interface
            score.write(str(FIRST_TO_GO_SCORE))


def _limit_memory(more: int) -> None:
    """Let this process have so many bytes more than it has now; beyond them an allocation fails.

    Some requests make llama.cpp take all the memory that there is: then one of them fails, and not the machine.
    """
    if sys.platform != "linux":
        return
    with open("/proc/self/statm") as pages:  # noqa: PTH123 - a kernel interface (proc(5): data is the sixth)
        taken = int(pages.read().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (taken + more, taken + more))


def _exit_at_end_of_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def _parameters(order: WorkerOrder) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = order.path
    params.model_alias = {order.name}
    params.n_parallel = order.slots
    params.n_ctx = order.context_length * order.slots
    params.embedding = order.embedding
    # An encoder needs its whole input in one batch. For others llama.cpp looks at cancelled requests between two.
    params.n_batch = params.n_ubatch = order.context_length if order.embedding else order.batch_tokens
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = order.threads
    params.api_keys = [order.api_key]
    params.endpoint_metrics = True
    params.endpoint_slots = False
    params.ui = False
    params.cache_ram_mib = 0
    params.n_ctx_checkpoints = CHECKPOINTS
    params.verbosity = LOG_ERRORS
    return params


if __name__ == "__main__":
    main()
