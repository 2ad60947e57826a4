"""Trying deployments in turn until one answers, or sends its first chunk."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import structlog

from cloudyard.domains.inference.assembly import Assembly
from cloudyard.domains.inference.errors import LocalModelUnavailable, ProviderUnavailable
from cloudyard.domains.inference.ports import Endpoint, LocalModels, Provider
from cloudyard.domains.inference.preparation import CHAT_PATH, COMPLETION_PATH, Call
from cloudyard.domains.inference.records import Deployment
from cloudyard.domains.inference.routing import Router
from cloudyard.domains.inference.shapes import chunk_of_stream, whole_answer

log = structlog.get_logger(__name__)

FEWEST_ATTEMPTS = 2
FEWEST_LOGPROBS = 1
"""llama.cpp takes 0 for none at all, and nothing for 20."""
PROGRESS = b'"prompt_progress":'
STREAMED_PATHS = frozenset({CHAT_PATH, COMPLETION_PATH})


class Attempts:
    """Retry and fallback: only ever before the first token."""

    def __init__(self, router: Router, provider: Provider, local_models: LocalModels) -> None:
        self._router = router
        self._provider = provider
        self._local_models = local_models

    async def whole(self, call: Call) -> tuple[Deployment, dict[str, Any]]:
        """A whole answer and the deployment that gave it. Raises what the last one tried failed with."""
        excluded: set[str] = set()
        for left in _attempts_of(call):
            async with self._router.slot(call.model, excluded) as deployment:
                try:
                    answer = await self._answer_of(call, deployment)
                except (ProviderUnavailable, LocalModelUnavailable) as error:
                    self._failed(deployment, error)
                    if not left:
                        raise
                else:
                    self._router.succeeded(deployment)
                    return deployment, answer
            excluded = _next_excluded(call, excluded, deployment)
        raise AssertionError("the last attempt raises")

    async def begin(self, call: Call, stack: AsyncExitStack) -> tuple[Deployment, bytes, AsyncIterator[bytes]]:
        """The first chunk of a stream, and the rest; what the stream holds open is handed to `stack`."""
        excluded: set[str] = set()
        for left in _attempts_of(call):
            async with AsyncExitStack() as attempt:
                deployment = await attempt.enter_async_context(self._router.slot(call.model, excluded))
                try:
                    first, rest = await self._first_chunk_of(call, deployment, attempt)
                except (ProviderUnavailable, LocalModelUnavailable) as error:
                    self._failed(deployment, error)
                    if not left:
                        raise
                else:
                    self._router.succeeded(deployment)
                    await stack.enter_async_context(attempt.pop_all())
                    return deployment, first, rest
            excluded = _next_excluded(call, excluded, deployment)
        raise AssertionError("the last attempt raises")

    async def _answer_of(self, call: Call, deployment: Deployment) -> dict[str, Any]:
        if deployment.local is not None:
            async with self._local_models.lease(deployment.local) as endpoint:
                if call.path in STREAMED_PATHS:
                    return await self._collect(call, deployment, endpoint)
                return await self._ask(call, deployment, endpoint)
        return await self._ask(call, deployment, _remote(deployment))

    async def _ask(self, call: Call, deployment: Deployment, endpoint: Endpoint) -> dict[str, Any]:
        body = _encoded(call, deployment, stream=False)
        return whole_answer(call.path, await self._provider.call(endpoint, call.path, body, deployment.timeout))

    async def _collect(self, call: Call, deployment: Deployment, endpoint: Endpoint) -> dict[str, Any]:
        """A whole answer by way of a stream: llama.cpp notices only in a stream, at once, that nobody waits for it."""
        assembly = Assembly(call)
        body = _encoded(call, deployment, stream=True)
        async with self._provider.stream(endpoint, call.path, body, deployment.timeout) as chunks:
            async for data in _without_progress(chunks):
                assembly.add(chunk_of_stream(data))
        return assembly.answer()

    async def _first_chunk_of(
        self, call: Call, deployment: Deployment, attempt: AsyncExitStack
    ) -> tuple[bytes, AsyncIterator[bytes]]:
        if deployment.local is not None:
            endpoint = await attempt.enter_async_context(self._local_models.lease(deployment.local))
        else:
            endpoint = _remote(deployment)
        body = _encoded(call, deployment, stream=True)
        source = self._provider.stream(endpoint, call.path, body, deployment.timeout)
        chunks = _without_progress(await attempt.enter_async_context(source))
        first = await anext(chunks, None)
        if first is None:
            raise ProviderUnavailable(f"{deployment.name} closed the stream before it began.")
        chunk_of_stream(first)  # a stream that begins with an error has not begun
        return first, chunks

    def _failed(self, deployment: Deployment, error: Exception) -> None:
        self._router.failed(deployment)
        log.warning("deployment failed", model=deployment.model, deployment=deployment.name, error=str(error))


def _attempts_of(call: Call) -> range:
    """How many attempts are left after each."""
    return range(max(FEWEST_ATTEMPTS, len(call.model.deployments)) - 1, -1, -1)


async def _without_progress(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Leave out the signs of life that llama.cpp gives while it reads the prompt: they are no answer yet.

    It is asked for them because it notices only when it sends something that its caller has left.
    """
    async for data in chunks:
        if PROGRESS not in data:
            yield data


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
        payload["timings_per_token"] = True
        payload["return_progress"] = True
        if payload.get("logprobs") is True and not payload.get("top_logprobs"):
            payload["top_logprobs"] = FEWEST_LOGPROBS
    return msgspec.json.encode(payload)


def _next_excluded(call: Call, excluded: set[str], failed: Deployment) -> set[str]:
    """Leave out what failed; once everything has failed, begin again."""
    tried = excluded | {failed.name}
    return tried if len(tried) < len(call.model.deployments) else set()
