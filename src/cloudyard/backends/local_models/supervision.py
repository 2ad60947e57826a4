"""Keeps the worker of one model up: started when it is wanted, restarted when it dies, unloaded when it is idle."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from cloudyard.backends.local_models.process import WorkerProcess, WorkerStartFailed
from cloudyard.domains.inference.errors import LocalModelUnavailable
from cloudyard.domains.inference.ports import Endpoint, LocalModel, WorkerState, WorkerStatus
from cloudyard.foundation.clock import Clock

log = structlog.get_logger(__name__)

STOP_GRACE_SECONDS = 5.0
# A caller rather waits this long for a worker that is about to be restarted than being sent away.
PATIENCE_SECONDS = 1.0

Launch = Callable[[LocalModel], Awaitable[WorkerProcess]]


@dataclass(slots=True)
class BackOff:
    """Pauses in seconds between restarts: doubled each time, back to the first after a run that lasted."""

    first: float = 0.5
    longest: float = 30.0
    lasting_run: float = 60.0
    _next: float = 0.5

    def after_run_of(self, seconds: float) -> float:
        """The pause after a run (0 for one that never became ready)."""
        if seconds >= self.lasting_run:
            self._next = self.first
        pause = self._next
        self._next = min(pause * 2, self.longest)
        return pause


class SupervisedModel:
    """A local model and whatever process runs it at the moment."""

    def __init__(self, model: LocalModel, launch: Launch, clock: Clock) -> None:
        self.model = model
        self._launch = launch
        self._clock = clock
        self._back_off = BackOff()
        self._state = WorkerState.STOPPED
        self._changed = asyncio.Event()
        self._process: WorkerProcess | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._idle: asyncio.Task[None] | None = None
        self._leases = 0
        self._restarts = 0
        self._retry_at = 0.0
        self._retired = False
        self._reason = ""
        self._last_error: str | None = None

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Endpoint]:
        """The endpoint of a worker that is ready, not unloaded as long as the lease is held.

        Raises LocalModelUnavailable.
        """
        self._leases += 1
        try:
            self.start()
            yield await self._endpoint()
        finally:
            self._leases -= 1
            self._arm_idle_unload()

    def start(self) -> None:
        """Have the worker started, and kept up from now on."""
        if self._idle:
            self._idle.cancel()
            self._idle = None
        if self._keeper is None:
            self._enter(WorkerState.STARTING)
            self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.model.name}")

    def retire(self) -> None:
        """Unload as soon as nobody holds a lease: another configuration of the model took over."""
        self._retired = True
        self._arm_idle_unload()

    async def close(self) -> None:
        """Stop the worker; it is gone when this returns."""
        self._unload()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def status(self) -> WorkerStatus:
        """What an operator sees."""
        pid = self._process.pid if self._process else None
        return WorkerStatus(self.model.name, self._state, pid, self._restarts, self._last_error)

    async def _endpoint(self) -> Endpoint:
        while True:
            if self._process:
                return self._process.endpoint
            if self._state is WorkerState.FAILED or self._seconds_to_retry() > PATIENCE_SECONDS:
                raise self._unavailable()
            await self._changed.wait()

    def _unavailable(self) -> LocalModelUnavailable:
        wait = max(self._seconds_to_retry(), PATIENCE_SECONDS)
        return LocalModelUnavailable(
            f"The model {self.model.name} cannot answer now: {self._reason}. It is tried again by itself; "
            f"call again in {wait:.0f} s.",
            details={"model": self.model.name, "state": self._state.value},
            retry_after=wait,
        )

    def _seconds_to_retry(self) -> float:
        return max(self._retry_at - self._clock.monotonic(), 0.0) if self._state is WorkerState.BACKING_OFF else 0.0

    async def _keep(self) -> None:
        """Run the worker again and again, with pauses; ends by being cancelled."""
        while True:
            pause = self._back_off.after_run_of(await self._run_once())
            self._retry_at = self._clock.monotonic() + pause
            self._restarts += 1
            log.warning("model worker is down", model=self.model.name, error=self._last_error, retry_in_seconds=pause)
            self._changed.set()
            await self._clock.sleep(pause)
            self._enter(WorkerState.STARTING)

    async def _run_once(self) -> float:
        """One run from start to end; says for how many seconds it was ready."""
        try:
            process = await self._launch(self.model)
        except WorkerStartFailed as error:
            self._down(WorkerState.FAILED if error.model_at_fault else WorkerState.BACKING_OFF, error)
            return 0.0
        began = self._clock.monotonic()
        self._process = process
        self._enter(WorkerState.READY)
        log.info("model worker is ready", model=self.model.name, pid=process.pid)
        self._arm_idle_unload()
        try:
            how = await process.ended()
        finally:
            if self._process is process:
                self._process = None
            await process.stop(STOP_GRACE_SECONDS)
        reason = f"its worker ended ({how})"
        self._down(WorkerState.BACKING_OFF, WorkerStartFailed(reason, reason, model_at_fault=False))
        return self._clock.monotonic() - began
