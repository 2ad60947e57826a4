"""A model's file is missing or damaged: that model says so, everything else is served, and a good file is enough."""

from collections.abc import Callable
from pathlib import Path

import pytest
from local_models import CHAT, EMBEDDING, MODELS, put_chat_model, put_embedding_model, whole_chat_file
from visitor import Visitor, error_of, pieces_of, visiting, write_settings

from cloudyard.testing.upstream import PIECES, Upstream
from cloudyard.testing.waiting import eventually

Damage = Callable[[Path], None]


def _missing(_data_dir: Path) -> None:
    pass


def _truncated(data_dir: Path) -> None:
    whole = whole_chat_file().read_bytes()
    _put(data_dir, whole[: len(whole) // 2])


def _garbled(data_dir: Path) -> None:
    whole = whole_chat_file().read_bytes()
    _put(data_dir, bytes(4096) + whole[4096:])


def _put(data_dir: Path, content: bytes) -> None:
    source = data_dir.with_name("damaged.gguf")
    source.write_bytes(content)
    put_chat_model(data_dir, source)
    source.unlink()


DAMAGES: dict[str, tuple[Damage, str]] = {
    "missing": (_missing, "its model file is missing"),
    "truncated": (_truncated, "damaged"),
    "garbled": (_garbled, "damaged"),
}


@pytest.fixture
def data_dir(tmp_path: Path, upstream: Upstream) -> Path:
    directory = tmp_path / "data"
    write_settings(directory, {"upstream": upstream.base_url}, more=MODELS)
    put_embedding_model(directory)
    return directory


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
async def test_the_rest_is_served_and_a_good_file_is_enough(data_dir: Path, damage: Damage, reason: str) -> None:
    damage(data_dir)
    async with visiting(data_dir) as visitor:
        await eventually(visitor.ready, lambda found: found == (503, {f"model {CHAT}": "unavailable"}))

        await _every_surface_refuses(visitor, reason)
        assert await visitor.spent() == 0
        answer = await visitor.client.post("/v1/embeddings", json={"model": EMBEDDING, "input": "Where?"})
        assert len(answer.json()["data"][0]["embedding"]) == 384
        assert (await visitor.ask("parrot")).status_code == 200
        assert await visitor.spent() == len(PIECES)

        put_chat_model(data_dir, whole_chat_file())
        answer = await eventually(lambda: visitor.ask(CHAT, max_tokens=4), lambda found: found.status_code == 200)
        assert await visitor.spent() == len(PIECES) + answer.json()["usage"]["completion_tokens"]
        await visitor.becomes_ready()


async def _every_surface_refuses(visitor: Visitor, reason: str) -> None:
    for more in ({}, {"stream": True}):
        answer = await visitor.ask(CHAT, **more)
        assert reason in error_of(answer, 503, "model_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    answer = await visitor.client.post("/pynode/api/chat", json={"message": "Where?", "model": CHAT})
    told = answer.json()
    assert (answer.status_code, told["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert reason in told["message"]
    assert told["retry_after"] >= 1


async def test_another_deployment_of_the_model_takes_over(tmp_path: Path, upstream: Upstream) -> None:
    directory = tmp_path / "data"
    fallback = f"""
        [[inference.models.{CHAT}.deployments]]
        name = "local"
        kind = "local"
        path = "small.gguf"
        [[inference.models.{CHAT}.deployments]]
        name = "upstream"
        kind = "openai"
        base_url = "{upstream.base_url}"
        weight = 0
        [[billing.prices."model:{CHAT}"]]
        meter = "output_token"
        usd = "0.001"
        """
    write_settings(directory, {"upstream": upstream.base_url}, more=fallback)
    async with visiting(directory) as visitor:
        assert (await visitor.ask(CHAT)).status_code == 200
        async with visitor.asking(CHAT) as stream:
            assert pieces_of(await stream.events()) == list(PIECES)
        assert await visitor.spent() == 2 * len(PIECES)
        await eventually(visitor.ready, lambda found: found == (200, {f"model {CHAT}": "degraded"}))
