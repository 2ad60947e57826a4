"""The process that runs a local model is killed; the server and everybody else go on."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from local_models import CHAT, MODELS, put_chat_model, put_embedding_model, whole_chat_file
from visitor import Visitor, pieces_of, visiting, write_settings

from cloudyard.testing.upstream import PIECES, Upstream
from cloudyard.testing.waiting import eventually
from cloudyard.testing.workers import is_gone, worker_pids

LONG = {"model": CHAT, "max_tokens": 500, "temperature": 0, "messages": [{"role": "user", "content": "Tell a story."}]}


@pytest.fixture
def data_dir(tmp_path: Path, upstream: Upstream) -> Path:
    directory = tmp_path / "data"
    write_settings(directory, {"upstream": upstream.base_url}, more=MODELS)
    put_chat_model(directory, whole_chat_file())
    put_embedding_model(directory)
    return directory


async def kill_workers(visitor: Visitor) -> set[int]:
    """End every worker of the server at once, as the kernel does when memory runs out."""
    pids = set(worker_pids(visitor.server.process.pid))
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    while not all(map(is_gone, pids)):  # noqa: ASYNC110 - the kernel tells only the parent
        await asyncio.sleep(0.01)
    return pids


async def test_a_new_worker_takes_over_and_what_was_delivered_is_charged(data_dir: Path) -> None:
    """Killed while it does nothing, then in the middle of a stream."""
    async with visiting(data_dir) as visitor:
        first = await eventually(lambda: visitor.ask(CHAT, max_tokens=4), lambda found: found.status_code == 200)
        killed = await kill_workers(visitor)
        assert (await visitor.ask("parrot")).status_code == 200
        again = await eventually(lambda: visitor.ask(CHAT, max_tokens=4), lambda found: found.status_code == 200)
        await visitor.becomes_ready()
        assert not killed & set(worker_pids(visitor.server.process.pid))
        spent = len(PIECES) + sum(answer.json()["usage"]["completion_tokens"] for answer in (first, again))
        assert await visitor.spent() == spent

        async with visitor.asking(**LONG) as stream:
            events = await stream.events(10)
            await kill_workers(visitor)
            events += await stream.events()
        assert events[-1]["error"]["code"] == "provider_unavailable"
        assert not stream.ended
        spent += len(pieces_of(events))
        await visitor.finally_spent(spent)

        answer = await eventually(lambda: visitor.ask(CHAT, max_tokens=4), lambda found: found.status_code == 200)
        assert await visitor.spent() == spent + answer.json()["usage"]["completion_tokens"]
        await visitor.becomes_ready()


async def test_a_whole_answer_is_begun_again_by_a_new_worker(data_dir: Path) -> None:
    async with visiting(data_dir) as visitor:
        await eventually(lambda: visitor.ask(CHAT, max_tokens=1), lambda found: found.status_code == 200)
        asking = asyncio.create_task(visitor.ask(**{**LONG, "max_tokens": 150}))
        await eventually(visitor.wallet, lambda found: found[1] > 0)
        await kill_workers(visitor)
        answer = await asking
        assert answer.status_code == 200, answer.text
        assert "deployment failed" in visitor.server.log
        assert await visitor.spent() == 1 + answer.json()["usage"]["completion_tokens"]
