"""One run of one model worker: spawned, ready, ended."""

import asyncio
import importlib.util
import os
import signal
import sys
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from cloudyard.backends.local_models.handshake import WorkerOrder, WorkerReport, encode_line
from cloudyard.backends.local_models.worker_log import last_errors, open_rotated
from cloudyard.domains.inference.ports import Endpoint, LocalModel

WORKER_MODULE = "cloudyard.entrypoints.model_worker"
PASSED_ON = frozenset({"PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "HOME"})
PASSED_ON_PREFIXES = ("CUDA_", "NVIDIA_", "HIP_", "ROCR_", "VK_", "GGML_", "LLAMA_", "OMP_", "GOMP_")
# llama.cpp's threads wait for each other hundreds of times a token. By default libgomp spins there for milliseconds and
# takes the cores from the server and other workers: 3 tokens/s instead of 25 on two busy cores. Not spinning at all is
# as bad on idle ones: 42 tokens/s instead of 94. A thousand turns give 98 there: about what a wait between them lasts.
ENGINE_DEFAULTS = {"GOMP_SPINCOUNT": "1000"}


class WorkerFailed(Exception):
    """A worker did not become ready, or ended by itself.

    `reason` may be shown to callers, `detail` is for operators. `model_at_fault`: the model file is to blame, so the
    next worker will fail in the same way until somebody changes it.
    """

    def __init__(self, reason: str, detail: str, *, model_at_fault: bool) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.model_at_fault = model_at_fault


class WorkerProcess:
    """A worker that is ready to answer."""

    def __init__(self, process: asyncio.subprocess.Process, endpoint: Endpoint) -> None:
        self._process = process
        self.endpoint = endpoint

    @classmethod
    async def start(cls, model: LocalModel, *, api_key: str, log: Path, timeout: float) -> Self:
        """Spawn a worker for `model` and wait until it has loaded it; `timeout` in seconds.

        Raises WorkerFailed. Whatever goes wrong, cancellation included, no process is left behind.
        """
        process = await _spawn(model, log)
        try:
            async with asyncio.timeout(timeout):
                report = await _hand_over(process, _order(model, api_key))
            if report.base_url is None:
                raise await _load_failure(process, model, report, log)
        except BaseException as error:
            await _end(process, grace=0)
            if isinstance(error, TimeoutError):
                reason = f"its worker did not load it within {timeout:g} s"
                raise WorkerFailed(reason, f"{reason}; see {log}", model_at_fault=False) from error
            raise
        return cls(process, Endpoint(report.base_url, api_key, keeps_connections=False))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def failed(self) -> WorkerFailed:
        """Wait until the process has ended by itself, which it should not; says how."""
        reason = f"its worker ended ({_describe_exit(await self._process.wait())}) and is being restarted"
        return WorkerFailed(reason, reason, model_at_fault=False)

    async def stop(self, grace: float) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds; the process is gone when this returns."""
        await _end(self._process, grace)


async def _spawn(model: LocalModel, log: Path) -> asyncio.subprocess.Process:
    if not model.path.is_file():
        reason = "its model file is missing; `cloudyard models fetch` gets the default models"
        raise WorkerFailed(reason, f"the model file {model.path} is missing", model_at_fault=True)
    if importlib.util.find_spec("xllamacpp") is None:
        reason = "llama.cpp is not installed here: pip install 'cloudyard[local]'"
        raise WorkerFailed(reason, reason, model_at_fault=False)
    try:
        with open_rotated(log) as output:
            return await _execute(model, output)
    except OSError as error:
        reason = "its worker cannot be started"
        raise WorkerFailed(reason, f"{reason}: {error}", model_at_fault=False) from error


async def _execute(model: LocalModel, output: BinaryIO) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", WORKER_MODULE, model.name),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=output,
        env=_environment(),
        # Ctrl-C in a terminal reaches the server only, which drains before it stops its workers.
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    """Nothing of the server's secrets: a worker reads files that others made."""
    passed_on = {
        name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    }
    return ENGINE_DEFAULTS | passed_on


def _order(model: LocalModel, api_key: str) -> WorkerOrder:
    return WorkerOrder(
        name=model.name,
        path=str(model.path),
        context_length=model.context_length,
        slots=model.slots,
        embedding=model.embedding,
        batch_tokens=model.batch_tokens,
        threads=model.threads or len(os.sched_getaffinity(0)),
        api_key=api_key,
        working_memory=model.working_memory,
    )


async def _hand_over(process: asyncio.subprocess.Process, order: WorkerOrder) -> WorkerReport:
    """Give the order and wait for the report; an empty report when the process ended without one."""
    assert process.stdin and process.stdout  # noqa: S101 - both were asked for as pipes
    process.stdin.write(encode_line(order))
    line = await process.stdout.readline()
    return msgspec.json.decode(line, type=WorkerReport) if line else WorkerReport()


async def _load_failure(
    process: asyncio.subprocess.Process, model: LocalModel, report: WorkerReport, log: Path
) -> WorkerFailed:
    how = _describe_exit(await process.wait())
    lines = last_errors(log)
    if report.error:
        reason = "llama.cpp cannot load its model file, which may be damaged or of an unknown architecture"
        return WorkerFailed(reason, f"cannot load {model.path}: {report.error} {lines}", model_at_fault=True)
    reason = f"its worker ended while it was starting ({how})"
    return WorkerFailed(reason, f"{reason}; its log {log} ends: {lines}", model_at_fault=False)


async def _end(process: asyncio.subprocess.Process, grace: float) -> None:
    if process.returncode is None and grace > 0:
        process.terminate()
        try:
            async with asyncio.timeout(grace):
                await process.wait()
        except TimeoutError:
            pass
    if process.returncode is None:
        process.kill()
    await process.wait()
    if process.stdin:
        process.stdin.close()


def _describe_exit(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    return f"killed by {signal.Signals(-status).name}"
