"""Charged calls of a real model on a real worker: who leaves stops it, and what its answers look like."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from charged_calls import CONTEXT

from cloudyard.backends.generation.openai_compatible import OpenAICompatible
from cloudyard.domains.billing import UsageRecord
from cloudyard.domains.identity import Principal
from cloudyard.domains.identity.records import Role
from cloudyard.domains.inference import (
    ChatRequest,
    CompletionRequest,
    ContextTooLong,
    EmbeddingRequest,
    Endpoint,
    Generation,
    LocalModel,
    Message,
    Observer,
    Router,
)
from cloudyard.domains.inference.attempts import PROGRESS
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.settings.billing import BillingSettings
from cloudyard.testing.installation import install_models
from cloudyard.testing.tables import create_tables
from cloudyard.testing.waiting import eventually
from cloudyard.testing.workers import until
from cloudyard.wiring import Services, open_services

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "smollm2-135m"
EMBEDDER = "all-minilm-l6-v2"
SLOTS = 8
MOST = 1500
LONG_WORDS = 1500
COUNTING = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,"
"""What a model goes on with, and does not end soon, whatever it makes of other requests."""


class Watched(OpenAICompatible):
    """The real client, which counts what a worker sends."""

    def __init__(self) -> None:
        super().__init__(dict, SystemClock())
        self.signs = 0
        self.chunks = 0

    @asynccontextmanager
    async def stream(
        self, endpoint: Endpoint, path: str, body: bytes, timeout: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        async with super().stream(endpoint, path, body, timeout) as events:
            yield self._counted(events)

    async def _counted(self, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for data in events:
            if PROGRESS in data:
                self.signs += 1
            else:
                self.chunks += 1
            yield data


class Caller:
    """A user of an installation with the default models."""

    def __init__(self, services: Services, user_id: str) -> None:
        self._services = services
        self._principal = Principal(user_id, Role.USER, "session", None)
        self.client = Watched()
        self.generation = Generation(
            services.catalogue,
            services.prices,
            services.charges,
            Router(services.clock),
            self.client,
            services.local_models,
            Observer(services.metrics, services.tracing, services.clock, capture_content=False),
        )

    async def ask(self, text: str, *, max_tokens: int = MOST) -> dict[str, Any]:
        request = ChatRequest(model=MODEL, messages=[Message(role="user", content=text)], max_tokens=max_tokens)
        return dict((await self.generation.answer(self._principal, request, CONTEXT)).body)

    async def complete(self, **request: Any) -> dict[str, Any]:
        wanted = CompletionRequest(model=MODEL, **request)
        return dict((await self.generation.answer(self._principal, wanted, CONTEXT)).body)

    async def stream_completion(self, **request: Any) -> list[dict[str, Any]]:
        wanted = CompletionRequest(model=MODEL, **request)
        async with self.generation.stream(self._principal, wanted, CONTEXT) as stream:
            return [choice async for chunk in stream for choice in chunk["choices"]]

    async def embed(self, text: str) -> dict[str, Any]:
        wanted = EmbeddingRequest(model=EMBEDDER, input=[text])
        return dict((await self.generation.answer(self._principal, wanted, CONTEXT)).body)

    async def usage(self) -> list[UsageRecord]:
        return list(await self._services.billing.usage(self._principal.user_id, limit=100))

    async def held(self) -> int:
        return (await self._services.ledger.wallet(self._principal.user_id)).held

    async def counters(self) -> dict[str, float]:
        """What the worker says about itself."""
        async with self._services.local_models.lease(self._model()) as endpoint:
            root, headers = endpoint.base_url.removesuffix("/v1"), {"Authorization": f"Bearer {endpoint.api_key}"}
            async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{root}/metrics") as answer:
                lines = [line.split() for line in (await answer.text()).splitlines() if line.startswith("llamacpp:")]
        return {name.removeprefix("llamacpp:"): float(value) for name, value in lines}

    async def idle(self) -> dict[str, float]:
        """The counters of the worker, once it works on nothing."""
        return await eventually(
            self.counters, lambda seen: seen["requests_processing"] + seen["requests_deferred"] == 0
        )

    def _model(self) -> LocalModel:
        [deployment] = self._services.catalogue.find(MODEL).deployments
        assert deployment.local is not None
        return deployment.local


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def services(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    directory: Path = tmp_path_factory.mktemp("local")
    install_models(directory)
    async with open_services(Settings(data_dir=directory, billing=BillingSettings(welcome_credits=0))) as services:
        await create_tables(services.database)
        await services.load()
        yield services
        await services.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def caller(services: Services) -> AsyncIterator[Caller]:
    name = services.ids.new()
    user = await services.users.register(email=f"{name}@example.com", password="correct horse 9")
    await services.ledger.grant_once(user.id, 10**12, key=name, reason="test")
    caller = Caller(services, user.id)
    yield caller
    await caller.client.close()


async def test_who_leaves_in_mid_answer_pays_for_what_was_generated_and_frees_the_slot(caller: Caller) -> None:
    before = await caller.counters()
    asking = asyncio.create_task(caller.complete(prompt=COUNTING, max_tokens=MOST, temperature=0))
    await until(lambda: caller.client.chunks >= 8 or asking.done())
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    seen = caller.client.chunks
    [record] = await caller.usage()
    after = await caller.idle()
    assert record.outcome == "client_left"
    assert 5 <= record.quantities["output_token"] <= seen
    assert 10 < record.quantities["input_token"] < 100
    assert record.details["estimated"] is False
    assert record.amount > 0
    assert await caller.held() == 0
    assert after["tokens_predicted_total"] - before["tokens_predicted_total"] < MOST / 5


async def test_all_who_leave_while_their_prompts_are_read_pay_nothing_and_stop_the_reading(caller: Caller) -> None:
    before = await caller.counters()
    prompts = [f"{number} " + "hello world " * (LONG_WORDS // 2) for number in range(SLOTS)]
    asking = [asyncio.create_task(caller.ask(prompt, max_tokens=100)) for prompt in prompts]
    await until(lambda: caller.client.signs >= 3)
    for task in asking:
        task.cancel()
    assert all(isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*asking, return_exceptions=True))
    after = await caller.idle()
    assert caller.client.chunks == 0
    assert await caller.usage() == []
    assert await caller.held() == 0
    assert after["prompt_tokens_total"] - before["prompt_tokens_total"] < SLOTS * LONG_WORDS / 4
    assert (await caller.ask("Say hello.", max_tokens=3))["usage"]["completion_tokens"] <= 3


async def test_long_prompts_at_once_are_all_answered(caller: Caller) -> None:
    prompts = [f"{number} " + "hello world " * 60 for number in range(3)]
    answers = await asyncio.gather(*(caller.ask(prompt, max_tokens=2) for prompt in [*prompts, "Hello", "And you?"]))
    assert [answer["usage"]["completion_tokens"] <= 2 for answer in answers] == [True] * 5
    assert len(await caller.usage()) == 5


@pytest.mark.parametrize("most", [0, 3])
async def test_log_probabilities_of_completions_have_the_older_form(caller: Caller, most: int) -> None:
    asked: dict[str, Any] = {"prompt": ["Once upon a time", "The sea"], "n": 2, "max_tokens": 5, "logprobs": most}
    body = await caller.complete(**asked)
    pieces = await caller.stream_completion(**asked)
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    for choice in body["choices"]:
        _is_legacy(choice["logprobs"], most)
        assert "".join(choice["logprobs"]["tokens"]) == choice["text"]
    for index in range(4):
        of_one = [piece for piece in pieces if piece["index"] == index and piece["logprobs"]]
        text = "".join(piece["text"] for piece in of_one)
        offsets: list[tuple[str, int]] = []
        for piece in of_one:
            _is_legacy(piece["logprobs"], most)
            offsets += zip(piece["logprobs"]["tokens"], piece["logprobs"]["text_offset"], strict=True)
        assert offsets
        assert all(text[offset:].startswith(token) for token, offset in offsets)


def _is_legacy(logprobs: dict[str, Any], most: int) -> None:
    assert set(logprobs) == {"tokens", "token_logprobs", "top_logprobs", "text_offset"}
    assert len({len(values) for values in logprobs.values()}) == 1
    taken = zip(logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True)
    for token, logprob, likeliest in taken:
        assert likeliest[token] == logprob <= 0
        assert most <= len(likeliest) <= most + 1


async def test_what_does_not_fit_is_refused_with_its_length_and_costs_nothing(caller: Caller) -> None:
    text = "word " * 3000
    lengths = r"it has 3\d\d\d tokens, and there is room for 2048\. Shorten it"
    with pytest.raises(ContextTooLong, match=lengths):
        await caller.ask(text, max_tokens=1)
    with pytest.raises(ContextTooLong, match=lengths):
        await caller.stream_completion(prompt=text, max_tokens=1)
    with pytest.raises(ContextTooLong, match=r"input \(3\d\d\d tokens\) is too large to process\. Shorten it"):
        await caller.embed(text)
    assert (await caller.usage(), await caller.held()) == ([], 0)
