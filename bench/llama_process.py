"""The process behind servers/llama.py: `llama_process.py MODEL PORT PARALLEL CONTEXT THREADS`."""

import signal
import sys

import xllamacpp


def main(model: str, port: int, parallel: int, context: int, threads: int) -> None:
    """Serve until SIGTERM."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_parallel = parallel
    parameters.n_ctx = context
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    main(sys.argv[1], *(int(number) for number in sys.argv[2:]))
