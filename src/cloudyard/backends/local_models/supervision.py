"""Keeps the worker of one model up: started when it is wanted, restarted when it dies, unloaded when it is idle."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from cloudyard.backends.local_models.process import WorkerFailed, WorkerProcess
from cloudyard.domains.inference.errors import LocalModelUnavailable
from cloudyard.domains.inference.ports import Endpoint, LocalModel, WorkerState, WorkerStatus
from cloudyard.foundation.clock import Clock

log = structlog.get_logger(__name__)

STOP_GRACE_SECONDS = 5.0
# A caller rather waits this long for a worker that is about to be restarted than being sent away.
PATIENCE_SECONDS = 1.0

# A killed process is gone within that time, however busy the machine is; a caller waits for no longer.
DYING_SECONDS = 0.5

Launch = Callable[[LocalModel], Awaitable[WorkerProcess]]


@dataclass(slots=True)
class BackOff:
    """Pauses in seconds between restarts: doubled each time, back to the first after a run that lasted."""

    first: float = 0.5
    longest: float = 30.0
    lasting_run: float = 60.0
    _next: float = 0.0

    def after_run_of(self, seconds: float) -> float:
        """The pause after a run; 0 seconds for one that never became ready."""
        if seconds >= self.lasting_run:
            self._next = 0.0
        pause = max(self._next, self.first)
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
        self._failure: WorkerFailed | None = None

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Endpoint]:
        """The endpoint of a worker that is ready, not unloaded for as long as the lease is held.

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
        """Have the worker started, if it is not, and kept up from now on."""
        self._disarm_idle_unload()
        if self._keeper is None:
            self._enter(WorkerState.STARTING)
            self._keeper = asyncio.create_task(self._keep(), name=f"model worker {self.model.name}")
            self._keeper.add_done_callback(self._kept)

    async def look(self) -> None:
        """Return once a worker that is dying is known to be dead: its connections break a moment before that."""
        process = self._process
        if process is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(DYING_SECONDS):
                await process.failed()
                while self._process is process:
                    await self._changed.wait()

    def retire(self) -> None:
        """Unload as soon as nobody holds a lease: another configuration of the model takes over."""
        self._retired = True
        self._arm_idle_unload()

    async def close(self) -> None:
        """Stop the worker; it is gone when this returns."""
        self._disarm_idle_unload()
        self._unload()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def status(self) -> WorkerStatus:
        """What an operator sees."""
        pid = self._process.pid if self._process else None
        last_error = self._failure.detail if self._failure else None
        return WorkerStatus(self.model.name, self._state, pid, self._restarts, last_error)

    async def _endpoint(self) -> Endpoint:
        while self._process is None:
            impatient = self._state is WorkerState.BACKING_OFF and self._seconds_to_retry() > PATIENCE_SECONDS
            if impatient or self._state in (WorkerState.FAILED, WorkerState.STOPPED):
                raise self._unavailable()
            await self._changed.wait()
        return self._process.endpoint

    def _unavailable(self) -> LocalModelUnavailable:
        why = self._failure.reason if self._failure else "its worker is being stopped"
        wait = max(self._seconds_to_retry(), PATIENCE_SECONDS)
        return LocalModelUnavailable(
            f"The model {self.model.name} cannot answer now: {why}. Call again in {wait:.0f} s.",
            details={"model": self.model.name, "state": self._state.value},
            retry_after=wait,
        )

    def _seconds_to_retry(self) -> float:
        return max(self._retry_at - self._clock.monotonic(), 0.0)

    def _enter(self, state: WorkerState) -> None:
        self._state = state
        self._changed.set()
        self._changed = asyncio.Event()

    async def _keep(self) -> None:
        """Run the worker again and again, with pauses between; ends by being cancelled."""
        while True:
            seconds, self._failure = await self._run()
            pause = self._back_off.after_run_of(seconds)
            self._retry_at = self._clock.monotonic() + pause
            self._enter(WorkerState.FAILED if self._failure.model_at_fault else WorkerState.BACKING_OFF)
            log.warning("model worker is down", model=self.model.name, error=self._failure.detail, retry_in=pause)
            self._arm_idle_unload()
            await self._clock.sleep(pause)
            self._restarts += 1
            self._enter(WorkerState.RETRYING)

    def _kept(self, keeper: asyncio.Task[None]) -> None:
        """A keeper that failed itself must not leave callers waiting; the next call starts another one."""
        if keeper.cancelled() or (error := keeper.exception()) is None:
            return
        log.error("supervision failed", model=self.model.name, exc_info=error)
        self._failure = WorkerFailed("its supervision failed", f"{error!r}", model_at_fault=False)
        self._keeper = None
        self._enter(WorkerState.FAILED)

    async def _run(self) -> tuple[float, WorkerFailed]:
        """One run from start to end: for how many seconds the worker was ready, and what ended it."""
        try:
            process = await self._launch(self.model)
        except WorkerFailed as refusal:
            return 0.0, refusal
        began = self._clock.monotonic()
        try:
            self._process = process
            self._enter(WorkerState.READY)
            log.info("model worker is ready", model=self.model.name, pid=process.pid)
            self._arm_idle_unload()
            failure = await process.failed()
            return self._clock.monotonic() - began, failure
        finally:
            if self._process is process:
                self._process = None
            await process.stop(STOP_GRACE_SECONDS)

    def _arm_idle_unload(self) -> None:
        seconds = 0.0 if self._retired else self.model.idle_unload_seconds
        if self._leases or self._keeper is None or seconds is None:
            return
        self._disarm_idle_unload()
        self._idle = asyncio.create_task(self._unload_after(seconds))

    def _disarm_idle_unload(self) -> None:
        if self._idle:
            self._idle.cancel()
            self._idle = None

    async def _unload_after(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        log.info("unloading an idle model", model=self.model.name)
        self._unload()

    def _unload(self) -> None:
        """Stop the worker in the background; a lease that comes meanwhile starts another one."""
        if self._keeper is None:
            return
        self._ending.add(self._keeper)
        self._keeper.add_done_callback(self._ending.discard)
        self._keeper.cancel()
        self._keeper = None
        self._process = None
        self._enter(WorkerState.STOPPED)
