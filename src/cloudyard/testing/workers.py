"""What several tests do with workers."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from cloudyard.domains.inference.ports import Endpoint

PATIENCE_SECONDS = 60.0

Workers = Callable[[], list[int]]
"""Finds worker processes."""


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; fails the test when it does not come true."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def mapped_files(pid: int) -> str:
    """The files that a process has in memory, as the kernel lists them."""
    return Path(f"/proc/{pid}/maps").read_text()


def worker_pids(of: int | None = None) -> list[int]:
    """The worker processes that a process started: this one, where no other is named."""
    children = psutil.Process(of).children(recursive=True)
    return [child.pid for child in children if "cloudyard.entrypoints.model_worker" in _command(child)]


def _command(process: psutil.Process) -> list[str]:
    """Its words; none of one that ended a moment ago."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


async def post(endpoint: Endpoint, path: str, body: object) -> tuple[int, dict[str, Any]]:
    """POST JSON below the endpoint; the status and the decoded answer."""
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(endpoint.base_url + path, json=body) as answer,
    ):
        return answer.status, await answer.json()


async def say_something(endpoint: Endpoint) -> str:
    """A short answer of a chat model."""
    question = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 4, "temperature": 0}
    status, body = await post(endpoint, "/chat/completions", question)
    if status != 200:
        raise AssertionError(f"{status}: {body}")
    return str(body["choices"][0]["message"]["content"])
