"""What the server asks before it calls itself ready."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from sqlalchemy import text

from cloudyard.domains.inference import Deployment, LocalModel, Model, ProviderUnavailable, WorkerState
from cloudyard.domains.inference.routing import DeploymentHealth
from cloudyard.foundation.database import Database
from cloudyard.foundation.settings import Settings
from cloudyard.web.health import KEPT_SECONDS, Degraded, Dependency, Readiness
from cloudyard.wiring import Services

# Whether a worker that failed comes up at its next try is known when it has.
DOWN = frozenset({WorkerState.FAILED, WorkerState.BACKING_OFF, WorkerState.RETRYING})

# A row that every database has which was migrated, and that nothing else writes while the server runs.
WRITE = text("UPDATE alembic_version SET version_num = version_num")


def readiness(services: Services, *, kept_seconds: float = KEPT_SECONDS) -> Readiness:
    """Database, limits, file storage, mail and every model that there is at the moment, each really asked."""
    return Readiness(services.clock, partial(_dependencies, services), kept_seconds=kept_seconds)


def _dependencies(services: Services) -> Mapping[str, Dependency]:
    settings = services.settings
    parts = {
        "database": Dependency(partial(_write, services.database), services.database.dialect),
        "limits": Dependency(services.limits.ping, services.limits.name, essential=False),
        "storage": Dependency(services.objects.ping, _storage(settings)),
        "mail": Dependency(services.mailer.ping, settings.mail_backend, essential=False),
    }
    for model in services.catalogue.models():
        parts[f"model {model.name}"] = Dependency(partial(_ask_model, services, model), _runtimes(model))
    return parts


def _storage(settings: Settings) -> str:
    return "s3" if (settings.files.store or "").startswith("s3:") else "local"


async def _write(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(WRITE)


def _runtimes(model: Model) -> str:
    return ", ".join(dict.fromkeys("llama.cpp" if d.local else "upstream" for d in model.deployments)) or "none"


class _Trouble(NamedTuple):
    """What is wrong with a deployment, and whether calls are given to it nevertheless."""

    what: str
    serves: bool = False


async def _ask_model(services: Services, model: Model) -> None:
    """Raises `ProviderUnavailable` where no deployment can serve the model, `Degraded` where not all of them can."""
    if not model.deployments:
        raise ProviderUnavailable("It has no deployment. Give it one in the settings, or with `cloudyard models add`.")
    healths = services.router.health(model)
    asked = [await _trouble(services, d, h) for d, h in zip(model.deployments, healths, strict=True)]
    troubles = [trouble for trouble in asked if trouble is not None]
    if not troubles:
        return
    told = " ".join(trouble.what for trouble in troubles)
    if len(troubles) == len(asked) and not any(trouble.serves for trouble in troubles):
        raise ProviderUnavailable(told)
    raise Degraded(told)


async def _trouble(services: Services, deployment: Deployment, health: DeploymentHealth) -> _Trouble | None:
    name = f"Deployment {deployment.name}"
    if deployment.local is not None and (trouble := await _local_trouble(services, deployment.local)):
        return _Trouble(f"{name}: {trouble}")
    if not health.healthy:
        return _Trouble(f"{name} failed {health.failures} times in a row and gets no calls for a while; see the log.")
    if health.on_trial:
        return _Trouble(f"{name} failed {health.failures} times in a row; the next call shows.", serves=True)
    return None


async def _local_trouble(services: Services, local: LocalModel) -> str | None:
    """What keeps a local model from running. One that is unloaded but could be loaded is well."""
    if not await asyncio.to_thread(local.path.is_file):
        return f"its file {local.path} is missing. Run `cloudyard models fetch`, or put it there."
    for status in services.local_models.statuses():
        if status.name == local.name and status.state in DOWN:
            return f"its worker is {status.state.value}: {status.last_error}"
    return None
