"""Keys of upstream servers: stored encrypted, and discarded when they can be read no more."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from cloudyard.domains.inference import Catalogue, UpstreamKey
from cloudyard.foundation.database import Database
from cloudyard.foundation.secret_box import SecretBox, SecretUnreadable
from cloudyard.foundation.settings.inference import DeploymentSettings, InferenceSettings, ModelSettings
from cloudyard.testing.clock import ManualClock

Open = Callable[..., Catalogue]


@pytest.fixture
def opened(database: Database, clock: ManualClock, tmp_path: Path) -> Open:
    """The catalogue of a process that has some encryption keys."""

    def opened(*keys: str) -> Catalogue:
        box = SecretBox(keys)
        return Catalogue(database, clock, box, InferenceSettings(), tmp_path, defaults={}, aliases={})

    return opened


def model(**keys: str | None) -> ModelSettings:
    return ModelSettings(
        deployments=[
            DeploymentSettings(
                name=name,
                kind="openai",
                base_url="http://127.0.0.1:9/v1",
                api_key=SecretStr(key) if key is not None else None,
            )
            for name, key in keys.items()
        ]
    )


def keys_in_use(catalogue: Catalogue) -> dict[str, str | None]:
    return {
        f"{deployment.model}/{deployment.name}": deployment.endpoint.api_key
        for model in catalogue.models()
        for deployment in model.deployments
        if deployment.endpoint is not None
    }


async def test_only_what_cannot_be_read_is_discarded(opened: Open, database: Database) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    await opened(old).add("first", model(a="secret-a", b=None, c="secret-c"))
    await opened(new, old).add("second", model(d="secret-d"))
    catalogue = opened(new)
    with pytest.raises(SecretUnreadable):
        await catalogue.load()
    async with database.transaction() as tx:
        lost = await catalogue.unreadable_keys(tx)
        await catalogue.discard_keys(tx, lost)
    assert lost == [UpstreamKey("first", "a"), UpstreamKey("first", "c")]
    async with database.reading() as tx:
        assert await catalogue.unreadable_keys(tx) == []
    await catalogue.load()
    assert keys_in_use(catalogue) == {
        "first/a": None, "first/b": None, "first/c": None, "second/d": "secret-d"
    }  # fmt: skip
