"""The catalogue of models: what the settings name, what an administrator added, and aliases of both."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import delete, insert, select, update

from cloudyard.domains.inference.errors import InvalidRequest, ModelNotFound
from cloudyard.domains.inference.models import catalogue_models
from cloudyard.domains.inference.ports import Endpoint, LocalModel
from cloudyard.domains.inference.records import Deployment, Model, ModelKind, UpstreamKey
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database, Transaction
from cloudyard.foundation.secret_box import SecretBox
from cloudyard.foundation.settings.inference import DeploymentSettings, InferenceSettings, ModelSettings

MIB = 1024**2


class Catalogue:
    """Which models there are. Kept in memory; `load` reads what the database holds."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        secrets: SecretBox,
        settings: InferenceSettings,
        model_dir: Path,
        *,
        defaults: Mapping[str, ModelSettings],
        aliases: Mapping[str, str],
    ) -> None:
        self._database = database
        self._clock = clock
        self._secrets = secrets
        self._settings = settings
        self._model_dir = model_dir
        self._configured = {**defaults, **settings.models}
        self._aliases = {**aliases, **settings.aliases}
        self._started_at = clock.now()
        self._models: dict[str, Model] = {}
        self._set_models({})

    def models(self) -> list[Model]:
        """Every model, by name."""
        return [self._models[name] for name in sorted(self._models)]

    def local_models(self) -> list[LocalModel]:
        """Every model that runs here."""
        return [d.local for model in self.models() for d in model.deployments if d.local is not None]

    def aliases(self) -> Mapping[str, str]:
        """Other names, each with the model it stands for."""
        return {alias: name for alias, name in self._aliases.items() if name in self._models}

    def find(self, name: str) -> Model:
        """The model of a name or alias. Raises `ModelNotFound`."""
        model = self._models.get(name) or self._models.get(self._aliases.get(name, ""))
        if model is None:
            raise ModelNotFound(
                f"There is no model {name!r}. GET /v1/models lists the models that there are.", field="model"
            )
        return model

    def default_chat_model(self) -> str:
        """The model of a request that names none."""
        return self._settings.default_chat_model

    async def load(self) -> None:
        """Read the models that were added at run time."""
        async with self._database.reading() as tx:
            rows = await tx.all(select(catalogue_models))
        self._set_models({row.name: (self._stored_settings(row), row.created_at) for row in rows})

    async def add(self, name: str, settings: ModelSettings) -> Model:
        """Add a model, or replace one that was added before. Provider keys are stored encrypted."""
        if name in self._configured:
            raise InvalidRequest(f"{name} comes from the configuration; change it there.", field="name")
        keys = {d.name: self._secrets.encrypt(d.api_key.get_secret_value()) for d in settings.deployments if d.api_key}
        stored = settings.model_dump(mode="json", exclude={"deployments": {"__all__": {"api_key"}}})
        async with self._database.transaction() as tx:
            await tx.execute(delete(catalogue_models).where(catalogue_models.c.name == name))
            await tx.execute(
                insert(catalogue_models).values(
                    name=name, settings=stored, encrypted_keys=keys, created_at=self._clock.now()
                )
            )
        await self.load()
        return self._models[name]

    async def remove(self, name: str) -> None:
        """Remove a model that was added. Raises `ModelNotFound`."""
        async with self._database.transaction() as tx:
            result = await tx.execute(delete(catalogue_models).where(catalogue_models.c.name == name))
        if result.rowcount == 0:
            raise ModelNotFound(f"No model {name!r} was added at run time.", field="name")
        await self.load()

    async def unreadable_keys(self, tx: Transaction) -> Sequence[UpstreamKey]:
        """The stored provider keys that no encryption key at hand can read."""
        rows = await tx.all(select(catalogue_models).order_by(catalogue_models.c.name))
        return [
            UpstreamKey(row.name, deployment)
            for row in rows
            for deployment, encrypted in row.encrypted_keys.items()
            if not self._secrets.can_read(encrypted)
        ]

    async def discard_keys(self, tx: Transaction, keys: Sequence[UpstreamKey]) -> None:
        """Delete stored provider keys; their models stay, and call without a key."""
        table = catalogue_models
        for name in dict.fromkeys(key.model for key in keys):
            lost = {key.deployment for key in keys if key.model == name}
            stored = await tx.scalar(select(table.c.encrypted_keys).where(table.c.name == name))
            kept = {deployment: sealed for deployment, sealed in stored.items() if deployment not in lost}
            await tx.execute(update(table).where(table.c.name == name).values(encrypted_keys=kept))

    def _stored_settings(self, row: Any) -> ModelSettings:
        settings = ModelSettings.model_validate(row.settings)
        for deployment in settings.deployments:
            encrypted = row.encrypted_keys.get(deployment.name)
            if encrypted:
                deployment.api_key = SecretStr(self._secrets.decrypt(encrypted))
        return settings

    def _set_models(self, stored: Mapping[str, tuple[ModelSettings, datetime]]) -> None:
        models = {name: self._model(name, settings, at) for name, (settings, at) in stored.items()}
        for name, settings in self._configured.items():
            models[name] = self._model(name, settings, self._started_at)
        self._models = models

    def _model(self, name: str, settings: ModelSettings, created_at: datetime) -> Model:
        return Model(
            name=name,
            kind=ModelKind(settings.kind),
            description=settings.description,
            provider=settings.provider,
            context_length=settings.context_length,
            max_output_tokens=settings.max_output_tokens,
            capabilities=frozenset(settings.capabilities),
            max_queue=settings.max_queue,
            deployments=tuple(self._deployments(name, settings, settings.deployments)),
            created_at=created_at,
        )

    def _deployments(
        self, model: str, settings: ModelSettings, deployments: Iterable[DeploymentSettings]
    ) -> Iterable[Deployment]:
        for item in deployments:
            local = item.kind == "local"
            yield Deployment(
                model=model,
                name=item.name,
                upstream_model=item.upstream_model or model,
                weight=item.weight,
                max_concurrency=self._settings.slots if local else item.max_concurrency,
                timeout=item.timeout_seconds,
                local=self._local(model, settings, item) if local else None,
                endpoint=None if local else _endpoint(model, item),
                tokenizer=self._tokenizer(item),
            )

    def _tokenizer(self, item: DeploymentSettings) -> LocalModel | None:
        settings = self._configured.get(item.tokenizer or "")
        if item.tokenizer is None or settings is None:
            return None
        local = next((d for d in settings.deployments if d.kind == "local"), None)
        return self._local(item.tokenizer, settings, local) if local else None

    def _local(self, model: str, settings: ModelSettings, item: DeploymentSettings) -> LocalModel:
        if item.path is None:
            raise InvalidRequest(f"Deployment {item.name} of {model} is local and needs a path.", field="path")
        return LocalModel(
            name=f"{model}-{item.name}",
            path=self._model_dir / item.path,
            context_length=settings.context_length,
            slots=self._settings.slots,
            embedding=settings.kind == "embedding",
            batch_tokens=self._settings.batch_tokens,
            working_memory=self._settings.working_memory_mib * MIB,
            threads=self._settings.threads,
            idle_unload_seconds=self._settings.idle_unload_seconds,
        )


def _endpoint(model: str, item: DeploymentSettings) -> Endpoint:
    if item.base_url is None:
        raise InvalidRequest(f"Deployment {item.name} of {model} needs a base_url.", field="base_url")
    return Endpoint(item.base_url.rstrip("/"), item.api_key.get_secret_value() if item.api_key else None)
