"""One worker process: how it starts, what it lets out, how it ends."""

import asyncio
import importlib
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import aiohttp
import msgspec
import psutil
import pytest

from cloudyard.backends.local_models.handshake import WorkerOrder, encode_line
from cloudyard.backends.local_models.process import WORKER_MODULE, WorkerFailed, WorkerProcess
from cloudyard.domains.inference.ports import LocalModel
from cloudyard.testing.workers import Workers, is_gone, mapped_files, post, say_something, until

KEY = "key-of-this-test"
SMALL_MEMORY = 256 * 1024**2


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def start(model: LocalModel, log_folder: Path, timeout: float = 60) -> WorkerProcess:
    return await WorkerProcess.start(model, api_key=KEY, log=log_folder / "worker.log", timeout=timeout)


async def test_a_ready_worker_answers_and_is_gone_after_stop(chat_model: LocalModel, log_folder: Path) -> None:
    worker = await start(chat_model, log_folder)
    try:
        assert await say_something(worker.endpoint)
    finally:
        await worker.stop(grace=10)
    assert is_gone(worker.pid)


async def test_only_the_key_opens_it_and_only_from_this_machine(chat_model: LocalModel, log_folder: Path) -> None:
    worker = await start(chat_model, log_folder)
    try:
        assert worker.endpoint.base_url.startswith("http://127.0.0.1:")
        listening = [c.laddr.ip for c in psutil.Process(worker.pid).net_connections() if c.status == "LISTEN"]
        async with aiohttp.ClientSession() as session:
            statuses = [
                (await session.get(worker.endpoint.base_url + path, headers=headers)).status
                for path in ("/models", "/../props", "/../metrics")
                for headers in ({}, {"Authorization": "Bearer wrong"})
            ]
    finally:
        await worker.stop(grace=10)
    assert listening == ["127.0.0.1"]
    assert statuses == [401] * 6


async def test_neither_the_key_nor_the_servers_secrets_can_be_seen_outside(
    chat_model: LocalModel, log_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDYARD_SECRET_KEY", "secret-of-the-server")
    worker = await start(chat_model, log_folder)
    try:
        process = psutil.Process(worker.pid)
        seen = " ".join([*process.cmdline(), *process.environ().values()])
    finally:
        await worker.stop(grace=10)
    assert WORKER_MODULE in seen
    assert KEY not in seen
    assert "secret-of-the-server" not in seen
    assert KEY not in (log_folder / "worker.log").read_text()


async def test_the_engine_is_loaded_in_the_worker_alone(chat_model: LocalModel, log_folder: Path) -> None:
    worker = await start(chat_model, log_folder)
    try:
        maps = mapped_files(worker.pid)
    finally:
        await worker.stop(grace=10)
    assert "xllamacpp" in maps
    assert "xllamacpp" not in mapped_files(os.getpid())


async def test_a_request_that_takes_all_memory_fails_alone(chat_model: LocalModel, log_folder: Path) -> None:
    schema = {"type": "string", "minLength": 5, "maxLength": 2}
    question = {
        "messages": [{"role": "user", "content": "Say hello."}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    }
    worker = await start(replace(chat_model, working_memory=SMALL_MEMORY), log_folder)
    try:
        before = psutil.Process(worker.pid).memory_info().data
        with suppress(aiohttp.ClientError):  # the worker may not survive it
            status, answer = await post(worker.endpoint, "/chat/completions", question)
            assert status >= HTTPStatus.BAD_REQUEST, answer
            assert psutil.Process(worker.pid).memory_info().data <= before + SMALL_MEMORY
            assert await say_something(worker.endpoint)
    finally:
        await worker.stop(grace=10)


async def test_it_ends_on_sigterm_and_says_so(chat_model: LocalModel, log_folder: Path) -> None:
    worker = await start(chat_model, log_folder)
    os.kill(worker.pid, signal.SIGTERM)
    failure = await worker.failed()
    await worker.stop(grace=10)
    assert "SIGTERM" in failure.reason
    assert not failure.model_at_fault


def test_it_ends_when_its_input_is_closed(chat_model: LocalModel) -> None:
    order = WorkerOrder(
        name="chat",
        path=str(chat_model.path),
        context_length=64,
        slots=1,
        embedding=False,
        batch_tokens=32,
        threads=1,
        api_key=KEY,
        working_memory=SMALL_MEMORY,
    )
    command = [sys.executable, "-P", "-m", WORKER_MODULE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as worker:
        assert worker.stdin and worker.stdout
        worker.stdin.write(encode_line(order))
        worker.stdin.flush()
        report = msgspec.json.decode(worker.stdout.readline())
        worker.stdin.close()
        assert worker.wait(60) == 0
        rest = worker.stdout.read()
    assert list(report) == ["base_url"]
    assert rest == b""


async def test_a_missing_file_is_told_without_starting_anything(log_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkerFailed) as caught:
        await start(LocalModel("chat", tmp_path / "no.gguf", 64, 1, 32), log_folder)
    assert caught.value.model_at_fault
    assert "missing" in caught.value.reason
    assert str(tmp_path) not in caught.value.reason
    assert str(tmp_path / "no.gguf") in caught.value.detail


@pytest.mark.parametrize("kept", [0, 100, 1_000_000])
async def test_a_truncated_file_is_told(
    chat_model: LocalModel, log_folder: Path, tmp_path: Path, kept: int, own_workers: Workers
) -> None:
    damaged = tmp_path / "damaged.gguf"
    with chat_model.path.open("rb") as whole:
        damaged.write_bytes(whole.read(kept))
    with pytest.raises(WorkerFailed) as caught:
        await start(replace(chat_model, path=damaged), log_folder)
    assert caught.value.model_at_fault
    assert "cannot load" in caught.value.reason
    assert "failed to load model" in caught.value.detail
    assert own_workers() == []


async def test_a_start_that_takes_too_long_leaves_nothing(
    chat_model: LocalModel, log_folder: Path, own_workers: Workers
) -> None:
    with pytest.raises(WorkerFailed, match=r"within 0\.01 s") as caught:
        await start(chat_model, log_folder, timeout=0.01)
    assert not caught.value.model_at_fault
    assert own_workers() == []


async def test_a_cancelled_start_leaves_nothing(chat_model: LocalModel, log_folder: Path, own_workers: Workers) -> None:
    starting = asyncio.create_task(start(chat_model, log_folder))
    await until(lambda: bool(own_workers()))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert own_workers() == []


async def test_a_worker_killed_while_it_starts_is_told(
    chat_model: LocalModel, log_folder: Path, own_workers: Workers
) -> None:
    starting = asyncio.create_task(start(chat_model, log_folder))
    await until(lambda: bool(own_workers()))
    os.kill(own_workers()[0], signal.SIGKILL)
    with pytest.raises(WorkerFailed, match="SIGKILL") as caught:
        await starting
    assert not caught.value.model_at_fault


async def test_a_log_folder_that_cannot_be_written_is_told(chat_model: LocalModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkerFailed, match="cannot be started") as caught:
        await start(chat_model, tmp_path / "file")
    assert not caught.value.model_at_fault


async def test_without_the_engine_the_extra_is_named(
    chat_model: LocalModel, log_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [])
    importlib.invalidate_caches()
    with pytest.raises(WorkerFailed, match=r"cloudyard\[local\]"):
        await start(chat_model, log_folder)


async def test_the_log_of_the_run_before_is_kept(chat_model: LocalModel, log_folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF")
    for _ in range(2):
        with pytest.raises(WorkerFailed):
            await start(replace(chat_model, path=broken), log_folder)
    assert sorted(names_in(log_folder)) == ["worker.log", "worker.log.1"]
    assert "failed to load model" in (log_folder / "worker.log.1").read_text()
