"""What `/ready` asks, over the services as they are wired."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
from aiosmtpd.handlers import Sink
from sqlalchemy import text

from cloudyard.domains.inference import Router, WorkerState
from cloudyard.entrypoints.readiness import readiness
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.settings.inference import DeploymentSettings, ModelSettings
from cloudyard.migrations.upgrade import upgrade
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.mail_server import mail_server
from cloudyard.testing.workers import until
from cloudyard.web.health import Finding, State
from cloudyard.wiring import Services, open_services

Open = Callable[..., AbstractAsyncContextManager[Services]]

READ_ONLY = {
    "sqlite": "CREATE TRIGGER full BEFORE UPDATE ON alembic_version BEGIN SELECT RAISE(ABORT, 'disk full'); END",
    "postgresql": "ALTER TABLE alembic_version ADD CONSTRAINT full_disk CHECK (version_num = '') NOT VALID",
}


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Opens the services of an installation without models, with further settings."""

    @asynccontextmanager
    async def opened(**further: Any) -> AsyncIterator[Services]:
        settings = Settings(data_dir=tmp_path, **{"inference": {"default_models": False}, **further})
        async with open_services(settings) as services:
            await upgrade(services.database)
            await services.load()
            yield services

    return opened


def upstream_model(*deployments: str) -> ModelSettings:
    return ModelSettings(
        deployments=[
            DeploymentSettings(name=name, kind="openai", base_url="http://127.0.0.1:9/v1") for name in deployments
        ]
    )


async def findings(services: Services) -> dict[str, Finding]:
    return {finding.name: finding for finding in await readiness(services, kept_seconds=0).ask()}


async def test_everything_that_is_needed_is_asked(opened: Open) -> None:
    async with opened(profile="development") as services:
        found = await findings(services)
    assert {name: (each.backend, each.state) for name, each in found.items()} == {
        "database": ("sqlite", State.WELL),
        "limits": ("memory", State.WELL),
        "storage": ("local", State.WELL),
        "mail": ("file", State.WELL),
    }


async def test_a_database_that_can_only_be_read_is_no_use(opened: Open, empty_database_url: str) -> None:
    async with opened(database={"url": empty_database_url}) as services:
        assert (await findings(services))["database"].state is State.WELL
        async with services.database.transaction() as tx:
            await tx.execute(text(READ_ONLY[services.database.dialect]))
        found = (await findings(services))["database"]
        assert found.state is State.UNAVAILABLE
        assert "full" in str(found.problem)


async def test_storage_that_is_away_is_told(opened: Open, tmp_path: Path) -> None:
    async with opened() as services:
        rmtree(tmp_path / "objects")
        (tmp_path / "objects").write_text("a file stands in the way")
        found = (await findings(services))["storage"]
    assert found.state is State.UNAVAILABLE
    assert str(tmp_path) in str(found.problem)


async def test_without_mail_a_server_is_degraded_and_says_what_to_set(opened: Open) -> None:
    async with opened() as services:
        found = (await findings(services))["mail"]
    assert (found.backend, found.state) == ("none", State.DEGRADED)
    assert "mail.backend" in str(found.problem)


async def test_a_mail_server_is_really_asked(opened: Open, unused_tcp_port: int) -> None:
    smtp = {"backend": "smtp", "smtp_port": unused_tcp_port, "smtp_tls": "none"}
    async with opened(mail=smtp) as services:
        asked = readiness(services, kept_seconds=0)
        away = {finding.name: finding for finding in await asked.ask()}["mail"]
        assert (away.backend, away.state) == ("smtp", State.DEGRADED)
        assert f"127.0.0.1:{unused_tcp_port}" in str(away.problem)
        with mail_server(Sink(), port=unused_tcp_port):
            assert {finding.name: finding for finding in await asked.ask()}["mail"].ok


async def test_models_come_and_go_while_it_runs(opened: Open) -> None:
    async with opened() as services:
        asked = readiness(services, kept_seconds=0)
        await services.catalogue.add("mine", upstream_model("here"))
        found = {finding.name: finding for finding in await asked.ask()}
        assert (found["model mine"].backend, found["model mine"].state) == ("upstream", State.WELL)
        await services.catalogue.remove("mine")
        assert "model mine" not in {finding.name for finding in await asked.ask()}


async def test_a_local_model_that_is_added_later_is_asked_for_its_file(opened: Open, tmp_path: Path) -> None:
    later = ModelSettings(deployments=[DeploymentSettings(name="here", kind="local", path=Path("later.gguf"))])
    async with opened() as services:
        await services.catalogue.add("later", later)
        missing = (await findings(services))["model later"]
        assert (missing.backend, missing.state) == ("llama.cpp", State.UNAVAILABLE)
        assert str(tmp_path / "models" / "later.gguf") in str(missing.problem)
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "later.gguf").touch()
        assert (await findings(services))["model later"].ok


async def test_a_model_without_any_deployment_cannot_be_served(opened: Open) -> None:
    async with opened() as services:
        await services.catalogue.add("empty", ModelSettings())
        found = (await findings(services))["model empty"]
    assert (found.backend, found.state) == ("none", State.UNAVAILABLE)


async def test_failing_upstreams_degrade_a_model_and_stop_it_when_all_of_them_fail(opened: Open) -> None:
    clock = ManualClock()
    async with opened() as wired:
        services = replace(wired, router=Router(clock))
        model = await services.catalogue.add("mine", upstream_model("first", "second"))
        first, second = model.deployments

        async def state() -> tuple[State, str]:
            found = (await findings(services))["model mine"]
            return found.state, found.problem or ""

        for _ in range(2):
            services.router.failed(first)
        assert await state() == (State.WELL, "")
        services.router.failed(first)
        degraded, why = await state()
        assert degraded is State.DEGRADED
        assert "first failed 3 times" in why
        assert "second" not in why
        for _ in range(3):
            services.router.failed(second)
        assert (await state())[0] is State.UNAVAILABLE
        clock.advance(60)
        assert (await state())[0] is State.DEGRADED, "the next calls decide"
        services.router.succeeded(first)
        services.router.succeeded(second)
        assert await state() == (State.WELL, "")


async def test_a_model_that_could_not_be_loaded_is_not_ready_while_that_is_tried_again(
    opened: Open, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"no model at all")
    settings = ModelSettings(deployments=[DeploymentSettings(name="here", kind="local", path=damaged)])
    async with opened() as services:
        await services.catalogue.add("damaged", settings)
        (model,) = services.catalogue.local_models()
        await services.local_models.start(model)
        await until(lambda: services.local_models.statuses()[0].state is WorkerState.RETRYING)
        assert (await findings(services))["model damaged"].state is State.UNAVAILABLE
