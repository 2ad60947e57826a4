"""Trying deployments in turn until one answers, or sends its first chunk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from cloudyard.domains.inference.assembly import Assembly, Unfinished
from cloudyard.domains.inference.errors import LocalModelUnavailable, ProviderRefused, ProviderUnavailable
from cloudyard.domains.inference.legacy_logprobs import LegacyLogprobs
from cloudyard.domains.inference.ports import Endpoint, LocalModels, Provider
from cloudyard.domains.inference.preparation import CHAT_PATH, COMPLETION_PATH, Call
from cloudyard.domains.inference.reading import ReadingTurns, Turn
from cloudyard.domains.inference.records import Deployment
from cloudyard.domains.inference.routing import Router
from cloudyard.domains.inference.shapes import chunk_of_stream, whole_answer

log = structlog.get_logger(__name__)

FEWEST_ATTEMPTS = 2
FEWEST_LOGPROBS = 1
"""llama.cpp takes 0 for none at all, and nothing for 20."""
PROGRESS = b'"prompt_progress":'
STREAMED_PATHS = frozenset({CHAT_PATH, COMPLETION_PATH})


@dataclass(frozen=True, slots=True)
class Begun:
    """A stream that has begun: its first chunk, the rest as it comes, and the prompt's length where that was told."""

    first: dict[str, Any]
    rest: AsyncIterator[bytes]
    prompt_tokens: int | None = None


class Attempts:
    """Retry and fallback: only ever before anything of an answer was given out."""

    def __init__(self, router: Router, provider: Provider, local_models: LocalModels) -> None:
        self._router = router
        self._provider = provider
        self._local_models = local_models
        self._turns = ReadingTurns()

    async def whole(self, call: Call, unfinished: Unfinished) -> tuple[Deployment, dict[str, Any]]:
        """A whole answer and the deployment that gave it. Raises what the last one tried failed with.

        When the caller is cancelled, `unfinished` is told what had been generated, where that is known.
        """
        excluded: set[str] = set()
        for left in _attempts_of(call):
            async with self._router.slot(call.model, excluded) as deployment:
                try:
                    answer = await self._answer_of(call, deployment, unfinished)
                except ProviderRefused as error:
                    _log_refusal(deployment, error)
                    raise
                except (ProviderUnavailable, LocalModelUnavailable) as error:
                    await self._failed(deployment, error)
                    if not left:
                        raise
                else:
                    self._router.succeeded(deployment)
                    return deployment, answer
            excluded = _next_excluded(call, excluded, deployment)
        raise AssertionError("the last attempt raises")

    async def begin(self, call: Call, stack: AsyncExitStack) -> tuple[Deployment, Begun]:
        """The first chunk of a stream, and the rest; what the stream holds open is handed to `stack`."""
        excluded: set[str] = set()
        for left in _attempts_of(call):
            async with AsyncExitStack() as attempt:
                deployment = await attempt.enter_async_context(self._router.slot(call.model, excluded))
                try:
                    begun = await self._first_chunk_of(call, deployment, attempt)
                except ProviderRefused as error:
                    _log_refusal(deployment, error)
                    raise
                except (ProviderUnavailable, LocalModelUnavailable) as error:
                    await self._failed(deployment, error)
                    if not left:
                        raise
                else:
                    self._router.succeeded(deployment)
                    await stack.enter_async_context(attempt.pop_all())
                    return deployment, begun
            excluded = _next_excluded(call, excluded, deployment)
        raise AssertionError("the last attempt raises")

    async def _answer_of(self, call: Call, deployment: Deployment, unfinished: Unfinished) -> dict[str, Any]:
        if deployment.local is None:
            return await self._ask(call, deployment, _remote(deployment))
        if call.path in STREAMED_PATHS:
            return await self._collect(call, deployment, unfinished)
        async with self._local_models.lease(deployment.local) as endpoint:
            return await self._ask(call, deployment, endpoint)

    async def _ask(self, call: Call, deployment: Deployment, endpoint: Endpoint) -> dict[str, Any]:
        body = _encoded(call, deployment, stream=False)
        answer = whole_answer(call.path, await self._provider.call(endpoint, call.path, body, deployment.timeout))
        logprobs = LegacyLogprobs.of(call)
        if logprobs is not None:
            logprobs.translate(answer)
        return answer

    async def _collect(self, call: Call, deployment: Deployment, unfinished: Unfinished) -> dict[str, Any]:
        """A whole answer by way of a stream: llama.cpp notices only in a stream, at once, that nobody waits for it."""
        assembly = Assembly(call)
        try:
            async with AsyncExitStack() as attempt:
                begun = await self._first_chunk_of(call, deployment, attempt)
                assembly.meter.prompt_tokens = begun.prompt_tokens
                assembly.add(begun.first)
                async for data in begun.rest:
                    assembly.add(chunk_of_stream(data))
        except asyncio.CancelledError:
            unfinished.keep(deployment, assembly)
            raise
        return assembly.answer()

    async def _first_chunk_of(self, call: Call, deployment: Deployment, attempt: AsyncExitStack) -> Begun:
        if deployment.local is None:
            return await self._opened(call, deployment, _remote(deployment), attempt)
        endpoint = await attempt.enter_async_context(self._local_models.lease(deployment.local))
        async with self._turns.turn(deployment.local, call.prompt_text, deployment.timeout) as turn:
            return await self._opened(call, deployment, endpoint, attempt, turn)

    async def _opened(
        self,
        call: Call,
        deployment: Deployment,
        endpoint: Endpoint,
        attempt: AsyncExitStack,
        turn: Turn | None = None,
    ) -> Begun:
        body = _encoded(call, deployment, stream=True)
        source = self._provider.stream(endpoint, call.path, body, deployment.timeout)
        chunks = await attempt.enter_async_context(source)
        first = await _first_of(chunks, turn)
        if first is None:
            raise ProviderUnavailable(f"{deployment.name} closed the stream before it began.")
        if turn is None:
            return Begun(first, chunks)
        # While the first of several answers is given, the model may be reading for the next.
        rest = chunks if call.prompts * call.choices == 1 else _without_progress(chunks, turn)
        return Begun(first, rest, turn.prompt_tokens)

    async def _failed(self, deployment: Deployment, error: Exception) -> None:
        self._router.failed(deployment)
        answered = isinstance(error, ProviderUnavailable) and "status" in error.details
        if deployment.local is not None and not answered:
            await self._local_models.failed(deployment.local)
        log.warning("deployment failed", model=deployment.model, deployment=deployment.name, error=str(error))


def _log_refusal(deployment: Deployment, error: ProviderRefused) -> None:
    log.info("deployment refused", model=deployment.model, deployment=deployment.name, error=str(error))


def _attempts_of(call: Call) -> range:
    """How many attempts are left after each."""
    return range(max(FEWEST_ATTEMPTS, len(call.model.deployments)) - 1, -1, -1)


async def _first_of(chunks: AsyncIterator[bytes], turn: Turn | None) -> dict[str, Any] | None:
    """The first chunk, if there is one. A stream that begins with an error has not begun."""
    async for data in chunks:
        if not _is_progress(data, turn):
            return chunk_of_stream(data)
    return None


async def _without_progress(chunks: AsyncIterator[bytes], turn: Turn) -> AsyncIterator[bytes]:
    async for data in chunks:
        if not _is_progress(data, turn):
            yield data


def _is_progress(data: bytes, turn: Turn | None) -> bool:
    """Whether it is a sign of life, which is no answer yet; the turn is told of it.

    llama.cpp is asked for them because it notices only when it sends something that its caller has left.
    """
    if turn is None or PROGRESS not in data:
        return False
    turn.progress(data)
    return True


def _remote(deployment: Deployment) -> Endpoint:
    if deployment.endpoint is None:
        raise ProviderUnavailable(f"{deployment.name} has no endpoint.")
    return deployment.endpoint


def _encoded(call: Call, deployment: Deployment, *, stream: bool) -> bytes:
    payload = {**call.payload, "model": deployment.upstream_model}
    if stream:
        payload["stream"] = True
        payload["stream_options"] = {"include_usage": True}
    if deployment.local is not None and stream:
        payload["return_progress"] = True
        # Running counts cost the model 3 % of its speed: they are worth it only where its usage tells too little.
        payload["timings_per_token"] = call.prompts * call.choices > 1
        if payload.get("logprobs") is True and not payload.get("top_logprobs"):
            payload["top_logprobs"] = FEWEST_LOGPROBS
        elif call.path == COMPLETION_PATH and payload.get("logprobs") == 0:
            payload["logprobs"] = FEWEST_LOGPROBS
    return msgspec.json.encode(payload)


def _next_excluded(call: Call, excluded: set[str], failed: Deployment) -> set[str]:
    """Leave out what failed; once everything has failed, begin again."""
    tried = excluded | {failed.name}
    return tried if len(tried) < len(call.model.deployments) else set()
