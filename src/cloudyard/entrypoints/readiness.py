"""What the server asks before it calls itself ready."""

import asyncio
from functools import partial

from cloudyard.domains.inference import LocalModel, LocalModelUnavailable, WorkerState
from cloudyard.web.health import Dependency, Readiness
from cloudyard.wiring import Services


def readiness(services: Services) -> Readiness:
    """Database, limits, file storage and every local model, each really asked."""
    parts = {
        "database": Dependency(services.database.ping, services.database.dialect),
        "limits": Dependency(services.limits.ping, services.limits.name),
        "storage": Dependency(services.objects.ping, services.settings.files.store or "local"),
    }
    for local in services.catalogue.local_models():
        parts[f"model {local.name}"] = Dependency(partial(_ask_model, services, local), "llama.cpp")
    return Readiness(services.clock, parts)


async def _ask_model(services: Services, local: LocalModel) -> None:
    """A model that is unloaded but could be loaded is well. Raises `LocalModelUnavailable`."""
    if not await asyncio.to_thread(local.path.is_file):
        raise LocalModelUnavailable(f"Its file {local.path} is missing. Run `cloudyard models fetch`, or put it there.")
    for status in services.local_models.statuses():
        if status.name == local.name and status.state in (WorkerState.FAILED, WorkerState.BACKING_OFF):
            raise LocalModelUnavailable(f"Its worker is {status.state.value}: {status.last_error}")
