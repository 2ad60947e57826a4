"""All local models together: on demand, restarted, unloaded, and none left behind."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloudyard.backends.local_models.llama_cpp import LlamaCppModels
from cloudyard.backends.local_models.supervision import BackOff, SupervisedModel
from cloudyard.domains.inference.errors import LocalModelUnavailable
from cloudyard.domains.inference.ports import LocalModel, WorkerState, WorkerStatus
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.waiting import until_after
from cloudyard.testing.workers import Workers, is_gone, post, say_something, until


def only(models: LlamaCppModels) -> WorkerStatus:
    (status,) = models.statuses()
    return status


def pid_of(status: WorkerStatus) -> int:
    assert status.pid is not None
    return status.pid


@pytest.fixture(autouse=True)
def no_worker_is_left(own_workers: Workers) -> Iterator[None]:
    yield
    assert own_workers() == []


@pytest.fixture
def damaged_model(chat_model: LocalModel, tmp_path: Path) -> LocalModel:
    path = tmp_path / "damaged.gguf"
    path.write_bytes(chat_model.path.read_bytes()[:100_000])
    return replace(chat_model, path=path)


async def test_a_lease_starts_the_worker_and_the_next_one_finds_it(
    local_models: LlamaCppModels, chat_model: LocalModel
) -> None:
    async with local_models.lease(chat_model) as endpoint:
        assert await say_something(endpoint)
        first = only(local_models)
    async with local_models.lease(chat_model):
        second = only(local_models)
    assert first == second
    assert (first.name, first.state, first.restarts, first.last_error) == ("chat", WorkerState.READY, 0, None)


async def test_calls_at_once_share_one_worker(
    local_models: LlamaCppModels, chat_model: LocalModel, own_workers: Workers
) -> None:
    async def call() -> str:
        async with local_models.lease(chat_model) as endpoint:
            await say_something(endpoint)
            return endpoint.base_url

    assert len(set(await asyncio.gather(*(call() for _ in range(5))))) == 1
    assert len(own_workers()) == 1


async def test_start_returns_at_once_and_loads_in_the_background(
    local_models: LlamaCppModels, chat_model: LocalModel
) -> None:
    await local_models.start(chat_model)
    assert only(local_models).state is WorkerState.STARTING
    await until(lambda: only(local_models).state is WorkerState.READY)


async def test_two_models_at_once(
    local_models: LlamaCppModels, chat_model: LocalModel, embedding_model: LocalModel
) -> None:
    async with local_models.lease(chat_model) as chat, local_models.lease(embedding_model) as embed:
        answer, (status, body) = await asyncio.gather(
            say_something(chat), post(embed, "/embeddings", {"input": "A cat."})
        )
    assert answer
    assert status == 200
    assert len(body["data"][0]["embedding"]) == 384
    assert len({pid_of(status) for status in local_models.statuses()}) == 2


async def test_a_killed_worker_is_replaced(local_models: LlamaCppModels, chat_model: LocalModel) -> None:
    async with local_models.lease(chat_model) as endpoint:
        old = pid_of(only(local_models))
        os.kill(old, signal.SIGKILL)
        await until(lambda: only(local_models).state is not WorkerState.READY)
    assert only(local_models).state is WorkerState.BACKING_OFF
    async with local_models.lease(chat_model) as again:
        assert await say_something(again)
    status = only(local_models)
    assert again != endpoint
    assert (status.state, status.restarts) == (WorkerState.READY, 1)
    assert status.pid != old
    assert "SIGKILL" in str(status.last_error)


async def test_a_worker_that_nobody_calls_is_replaced_too(local_models: LlamaCppModels, chat_model: LocalModel) -> None:
    await local_models.start(chat_model)
    await until(lambda: only(local_models).state is WorkerState.READY)
    old = pid_of(only(local_models))
    os.kill(old, signal.SIGKILL)
    await until(lambda: only(local_models).pid not in (None, old))
    assert only(local_models).state is WorkerState.READY


async def test_a_killed_worker_costs_its_own_model_alone(
    local_models: LlamaCppModels, chat_model: LocalModel, embedding_model: LocalModel
) -> None:
    async with local_models.lease(chat_model), local_models.lease(embedding_model) as embed:
        chat, embedding = local_models.statuses()
        os.kill(pid_of(chat), signal.SIGKILL)
        status, _ = await post(embed, "/embeddings", {"input": "A cat."})
        assert status == 200
        assert local_models.statuses()[1] == embedding


async def test_callers_are_sent_away_while_the_pause_is_long(chat_model: LocalModel, log_folder: Path) -> None:
    clock = ManualClock()
    models = LlamaCppModels(log_folder, clock, SystemIds())
    try:
        for seconds in (0.5, 1.0):
            async with models.lease(chat_model):
                os.kill(pid_of(only(models)), signal.SIGKILL)
                await until(lambda: only(models).state is WorkerState.BACKING_OFF)
            clock.advance(seconds)
        async with models.lease(chat_model):
            os.kill(pid_of(only(models)), signal.SIGKILL)
            await until(lambda: only(models).state is WorkerState.BACKING_OFF)
        with pytest.raises(LocalModelUnavailable, match="SIGKILL") as caught:
            async with models.lease(chat_model):
                pass
        assert caught.value.retry_after == 2.0
        clock.advance(2.0)
        async with models.lease(chat_model) as endpoint:
            assert await say_something(endpoint)
        assert only(models).restarts == 3
    finally:
        await models.close()


def test_pauses_double_and_start_again_after_a_lasting_run() -> None:
    back_off = BackOff()
    assert [back_off.after_run_of(0) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert back_off.after_run_of(59.9) == 30
    assert [back_off.after_run_of(60), back_off.after_run_of(0)] == [0.5, 1]


async def test_a_damaged_file_is_told_and_the_repaired_one_is_used(
    local_models: LlamaCppModels, chat_model: LocalModel, embedding_model: LocalModel, damaged_model: LocalModel
) -> None:
    async with local_models.lease(embedding_model) as embed:
        with pytest.raises(LocalModelUnavailable, match="damaged") as caught:
            async with local_models.lease(damaged_model):
                pass
        assert (await post(embed, "/embeddings", {"input": "A cat."}))[0] == 200
    failed = local_models.statuses()[1]
    assert caught.value.code == "model_unavailable"
    assert caught.value.retry_after and caught.value.retry_after > 0
    assert str(damaged_model.path) not in caught.value.message
    assert failed.state is WorkerState.FAILED
    assert str(damaged_model.path) in str(failed.last_error)
    shutil.copy(chat_model.path, damaged_model.path)
    await until(lambda: local_models.statuses()[1].state is WorkerState.READY)
    async with local_models.lease(damaged_model) as endpoint:
        assert await say_something(endpoint)


async def test_a_missing_file_is_told_and_used_once_it_is_there(
    local_models: LlamaCppModels, chat_model: LocalModel, tmp_path: Path
) -> None:
    missing = replace(chat_model, path=tmp_path / "later.gguf")
    with pytest.raises(LocalModelUnavailable, match="missing"):
        async with local_models.lease(missing):
            pass
    assert only(local_models).state is WorkerState.FAILED
    shutil.copy(chat_model.path, missing.path)
    await until(lambda: only(local_models).state is WorkerState.READY)


async def test_a_start_that_takes_too_long_is_told(chat_model: LocalModel, log_folder: Path) -> None:
    clock = ManualClock()
    models = LlamaCppModels(log_folder, clock, SystemIds(), start_timeout=0.01)
    try:
        await models.start(chat_model)
        for restarts, seconds in enumerate((0.5, 1.0, 0.0)):
            expected = (WorkerState.BACKING_OFF, restarts)
            await until(lambda expected=expected: (only(models).state, only(models).restarts) == expected)
            clock.advance(seconds)
        with pytest.raises(LocalModelUnavailable, match=r"did not load it within 0\.01 s"):
            async with models.lease(chat_model):
                pass
    finally:
        await models.close()


async def test_an_idle_model_is_unloaded_and_comes_back(chat_model: LocalModel, log_folder: Path) -> None:
    clock = ManualClock()
    model = replace(chat_model, idle_unload_seconds=60)
    models = LlamaCppModels(log_folder, clock, SystemIds())
    try:
        async with models.lease(model):
            pid = pid_of(only(models))
            clock.advance(600)
            await asyncio.sleep(0.1)
            assert only(models).state is WorkerState.READY
        await asyncio.sleep(0)
        clock.advance(59)
        await asyncio.sleep(0.1)
        assert only(models).state is WorkerState.READY
        await until_after(clock, 2, lambda: only(models).state is WorkerState.STOPPED)
        await until(lambda: is_gone(pid))
        async with models.lease(model) as endpoint:
            assert await say_something(endpoint)
        assert only(models).restarts == 0
    finally:
        await models.close()


async def test_a_model_started_at_boot_and_never_called_is_unloaded_too(
    chat_model: LocalModel, log_folder: Path
) -> None:
    clock = ManualClock()
    models = LlamaCppModels(log_folder, clock, SystemIds())
    try:
        await models.start(replace(chat_model, idle_unload_seconds=60))
        await until(lambda: only(models).state is WorkerState.READY)
        await until_after(clock, 61, lambda: only(models).state is WorkerState.STOPPED)
    finally:
        await models.close()


async def test_another_configuration_takes_over_without_cutting_calls(
    local_models: LlamaCppModels, chat_model: LocalModel
) -> None:
    async with local_models.lease(chat_model) as old:
        old_pid = pid_of(only(local_models))
        async with local_models.lease(replace(chat_model, slots=1)) as new:
            assert new.base_url != old.base_url
            assert await say_something(old)
            assert await say_something(new)
    await until(lambda: is_gone(old_pid))
    assert only(local_models).state is WorkerState.READY


async def test_close_leaves_no_worker_and_starts_none(
    chat_model: LocalModel, embedding_model: LocalModel, log_folder: Path, own_workers: Workers
) -> None:
    models = LlamaCppModels(log_folder, SystemClock(), SystemIds())
    async with models.lease(chat_model):
        await models.start(embedding_model)
        await until(lambda: len(own_workers()) == 2)
        await models.close()
    assert own_workers() == []
    assert {status.state for status in models.statuses()} == {WorkerState.STOPPED}
    with pytest.raises(LocalModelUnavailable, match="stopping"):
        async with models.lease(chat_model):
            pass


async def test_a_caller_that_waits_is_told_when_everything_stops(
    chat_model: LocalModel, log_folder: Path, own_workers: Workers
) -> None:
    models = LlamaCppModels(log_folder, SystemClock(), SystemIds())

    async def call() -> None:
        async with models.lease(chat_model):
            pass

    waiting = asyncio.create_task(call())
    await until(lambda: bool(own_workers()))
    await models.close()
    with pytest.raises(LocalModelUnavailable):
        await waiting


async def test_a_worker_that_ignores_sigterm_is_killed(
    chat_model: LocalModel, log_folder: Path, monkeypatch: pytest.MonkeyPatch, own_workers: Workers
) -> None:
    monkeypatch.setattr("cloudyard.backends.local_models.supervision.STOP_GRACE_SECONDS", 0.2)
    models = LlamaCppModels(log_folder, SystemClock(), SystemIds())
    await models.start(chat_model)
    await until(lambda: only(models).state is WorkerState.READY)
    os.kill(pid_of(only(models)), signal.SIGSTOP)
    await models.close()
    assert own_workers() == []


async def test_a_defect_in_the_supervision_reaches_the_caller(chat_model: LocalModel) -> None:
    async def broken(model: LocalModel) -> None:
        raise ZeroDivisionError

    supervised = SupervisedModel(chat_model, broken, SystemClock())  # type: ignore[arg-type]
    with pytest.raises(LocalModelUnavailable, match="supervision failed"):
        async with supervised.lease():
            pass
    assert supervised.status().state is WorkerState.FAILED


SERVER = """
import sys, uvloop
from pathlib import Path
from cloudyard.backends.local_models.llama_cpp import LlamaCppModels
from cloudyard.domains.inference.ports import LocalModel
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.ids import SystemIds

async def main():
    models = LlamaCppModels(Path(sys.argv[2]), SystemClock(), SystemIds())
    async with models.lease(LocalModel("chat", Path(sys.argv[1]), 64, 1, 32)):
        print("worker", models.statuses()[0].pid, flush=True)
        await SystemClock().sleep(3600)

uvloop.run(main())
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_the_death_of_the_server_leaves_no_worker(
    chat_model: LocalModel, log_folder: Path, ending: signal.Signals
) -> None:
    command = [sys.executable, "-c", SERVER, str(chat_model.path), str(log_folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            pid = next(int(line.removeprefix("worker ")) for line in server.stdout if line.startswith("worker "))
            assert not is_gone(pid)
        finally:
            server.send_signal(ending)
    asyncio.run(until(lambda: is_gone(pid)))


async def test_a_call_that_fails_under_former_settings_leaves_the_new_worker_alone(
    local_models: LlamaCppModels, chat_model: LocalModel
) -> None:
    former = replace(chat_model, slots=1)
    await local_models.start(former)
    async with local_models.lease(chat_model):
        await local_models.failed(former)
        (status,) = local_models.statuses()
        assert status.state is WorkerState.READY
    async with local_models.lease(chat_model) as endpoint:
        assert endpoint.base_url
    assert [status.restarts for status in local_models.statuses()] == [0]
