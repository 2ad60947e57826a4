"""Local models on llama.cpp: a worker process each, so that a crash or a kill costs one model and never the server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cloudyard.backends.local_models.process import WorkerProcess
from cloudyard.backends.local_models.supervision import SupervisedModel
from cloudyard.backends.local_models.worker_log import log_path
from cloudyard.domains.inference.errors import LocalModelUnavailable
from cloudyard.domains.inference.ports import Endpoint, LocalModel, WorkerStatus
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.ids import Ids


class LlamaCppModels:
    """Implements the port `LocalModels`.

    Workers log to `log_folder`/worker-NAME.log. A worker that has not loaded its model after `start_timeout` seconds
    is killed and tried again. Use it within one event loop.
    """

    def __init__(self, log_folder: Path, clock: Clock, ids: Ids, *, start_timeout: float = 120.0) -> None:
        self._log_folder = log_folder
        self._clock = clock
        self._ids = ids
        self._start_timeout = start_timeout
        self._models: dict[str, SupervisedModel] = {}
        self._retired: list[SupervisedModel] = []
        self._closed = False

    @asynccontextmanager
    async def lease(self, model: LocalModel) -> AsyncIterator[Endpoint]:
        """The model's endpoint, loaded for as long as the lease is held; starts the worker on demand.

        Raises LocalModelUnavailable when the file is missing or cannot be loaded, when the worker keeps dying, and
        when the server stops.
        """
        async with self._supervised(model).lease() as endpoint:
            yield endpoint

    async def start(self, model: LocalModel) -> None:
        """Begin to load the model and keep it up; returns at once."""
        self._supervised(model).start()

    async def failed(self, model: LocalModel) -> None:
        """Its endpoint did not answer: return once it is known whether its worker has died, within half a second."""
        known = self._models.get(model.name)
        if known is not None and known.model == model:
            await known.look()

    def statuses(self) -> Sequence[WorkerStatus]:
        """The worker of every model that was asked for."""
        return [supervised.status() for supervised in self._models.values()]

    async def close(self) -> None:
        """Stop all workers: SIGTERM, then SIGKILL. None is left when it returns, and none is started any more."""
        self._closed = True
        await asyncio.gather(*(supervised.close() for supervised in [*self._models.values(), *self._retired]))

    def _supervised(self, model: LocalModel) -> SupervisedModel:
        if self._closed:
            raise LocalModelUnavailable(f"The model {model.name} cannot answer: the server is stopping.", retry_after=5)
        known = self._models.get(model.name)
        if known and known.model == model:
            return known
        if known:
            known.retire()
            self._retired.append(known)
        self._models[model.name] = SupervisedModel(model, self._launch, self._clock)
        return self._models[model.name]

    async def _launch(self, model: LocalModel) -> WorkerProcess:
        log = log_path(self._log_folder, model.name)
        return await WorkerProcess.start(model, api_key=self._ids.token(), log=log, timeout=self._start_timeout)
