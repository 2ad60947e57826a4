"""Charged inference: hold, choose a deployment, call it, settle.

What interrupts a call, and what is charged then: refused or failed before the first token, nothing; the client
leaves in mid-stream, what was generated until the model stopped; the provider fails in mid-stream, what was
delivered; this process is killed, nothing beyond what was settled, and the hold expires.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import structlog

from cloudyard.domains.billing import Charge, Charges, Payer, PriceBook, Usage, UsageOutcome
from cloudyard.domains.billing.batch import Write
from cloudyard.domains.billing.prices import Meter
from cloudyard.domains.identity import Principal, Scope
from cloudyard.domains.inference.catalogue import Catalogue
from cloudyard.domains.inference.errors import LocalModelUnavailable, ProviderUnavailable
from cloudyard.domains.inference.metering import StreamMeter
from cloudyard.domains.inference.observation import Observer
from cloudyard.domains.inference.ports import Endpoint, LocalModels, Provider
from cloudyard.domains.inference.preparation import Call, Request, prepare
from cloudyard.domains.inference.records import Answer, CallContext, Deployment, TokenUsage
from cloudyard.domains.inference.routing import Router
from cloudyard.domains.inference.streaming import ChunkStream, usage_body
from cloudyard.domains.inference.token_counting import TokenCounter
from cloudyard.foundation.crash_points import crash_point
from cloudyard.foundation.errors import DomainError

log = structlog.get_logger(__name__)

T = TypeVar("T")
Also = Callable[[Answer], tuple[Write, ...]]

FEWEST_ATTEMPTS = 2


class Generation:
    """Answers chat, completion and embedding requests, and charges for them."""

    def __init__(
        self,
        catalogue: Catalogue,
        prices: PriceBook,
        charges: Charges,
        router: Router,
        provider: Provider,
        local_models: LocalModels,
        observer: Observer,
    ) -> None:
        self._catalogue = catalogue
        self._prices = prices
        self._charges = charges
        self._router = router
        self._provider = provider
        self._local_models = local_models
        self._observer = observer
        self._counter = TokenCounter(provider, local_models)
        self._settling: set[asyncio.Task[Any]] = set()

    async def answer(
        self, principal: Principal, request: Request, context: CallContext, *, also: Also | None = None
    ) -> Answer:
        """A whole answer, charged before it is given out.

        `also` names writes that belong to the same transaction as the charge. Raises the errors of this domain, and
        `InsufficientCredits`, `SpendCapReached` or `PriceMissing`.
        """
        call = self._prepare(principal, request)
        with self._observer.call(call, context) as observed:
            charge = await self._open(principal, call)
            async with self._given_back_on_failure(charge):
                deployment, body = await self._attempt(call, lambda d, e: self._whole(call, d, e))
            crash_point("inference.answered")
            settlement = _Settlement(call, charge, deployment, context, also)
            answer = await self._to_its_end(self._settle_whole(settlement, body))
            observed.answered(answer)
            return answer

    @asynccontextmanager
    async def stream(
        self, principal: Principal, request: Request, context: CallContext, *, also: Also | None = None
    ) -> AsyncIterator[ChunkStream]:
        """A streamed answer. Entering waits for the first chunk, so that a failure before it is an error as usual.

        Leaving before the end stops the model and charges what it generated.
        """
        call = self._prepare(principal, request)
        with self._observer.call(call, context, stream=True) as observed:
            charge = await self._open(principal, call)
            connection = AsyncExitStack()
            async with self._given_back_on_failure(charge):
                deployment, first, rest = await self._open_stream(connection, call)
            observed.first_token()
            settlement = _Settlement(call, charge, deployment, context, also)

            async def finish(meter: StreamMeter, outcome: UsageOutcome) -> Answer:
                answer = await self._to_its_end(self._settle_stream(settlement, meter, outcome))
                observed.answered(answer, outcome)
                return answer

            stream = ChunkStream(call, first, rest, finish)
            try:
                yield stream
            finally:
                await connection.aclose()
                await stream.end(UsageOutcome.CLIENT_LEFT)

    async def drain(self) -> None:
        """Wait for settlements that outlived their callers (at shutdown)."""
        await asyncio.gather(*self._settling, return_exceptions=True)

    def _prepare(self, principal: Principal, request: Request) -> Call:
        principal.require(Scope.INFERENCE)
        model = self._catalogue.find(request.model)
        if not principal.may_use_model(model.name):
            principal.require_model(request.model)
        return prepare(model, request)

    async def _open(self, principal: Principal, call: Call) -> Charge:
        key = principal.api_key
        payer = Payer(principal.user_id, key.id if key else None, key.spend_cap_nanos if key else None)
        price = self._prices.current(call.model.sku)
        description = f"{call.operation} with {call.requested_model}"
        opening = self._tracked(self._charges.open(payer, price, call.worst, description))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            self._tracked(self._give_back_when_open(opening))
            raise

    async def _give_back_when_open(self, opening: "asyncio.Task[Charge]") -> None:
        await asyncio.wait([opening])
        if opening.exception() is None:
            await self._give_back(opening.result())

    @asynccontextmanager
    async def _given_back_on_failure(self, charge: Charge) -> AsyncIterator[None]:
        try:
            yield
        except BaseException:
            await self._to_its_end(self._give_back(charge))
            raise

    async def _give_back(self, charge: Charge) -> None:
        try:
            await self._charges.release(charge, f"{charge.description}: not served")
        except DomainError as error:
            log.warning("hold not released, it will expire", hold=charge.hold_id, error=error.message)

    async def _attempt(self, call: Call, work: Callable[[Deployment, Endpoint], Awaitable[T]]) -> tuple[Deployment, T]:
        """Try deployments in turn until one answers."""
        attempts = max(FEWEST_ATTEMPTS, len(call.model.deployments))
        excluded: set[str] = set()
        while True:
            attempts -= 1
            async with self._router.slot(call.model, excluded) as deployment:
                try:
                    async with self._endpoint(deployment) as endpoint:
                        result = await work(deployment, endpoint)
                except (ProviderUnavailable, LocalModelUnavailable) as error:
                    self._failed(deployment, error)
                    if attempts <= 0:
                        raise
                else:
                    self._router.succeeded(deployment)
                    return deployment, result
            excluded = _next_excluded(call, excluded, deployment)

    async def _open_stream(self, stack: AsyncExitStack, call: Call) -> tuple[Deployment, bytes, AsyncIterator[bytes]]:
        """Try deployments in turn until one sends its first chunk; what it holds is handed to `stack`."""
        attempts = max(FEWEST_ATTEMPTS, len(call.model.deployments))
        excluded: set[str] = set()
        while True:
            attempts -= 1
            async with AsyncExitStack() as attempt:
                deployment = await attempt.enter_async_context(self._router.slot(call.model, excluded))
                try:
                    endpoint = await attempt.enter_async_context(self._endpoint(deployment))
                    body = _encoded(call, deployment, stream=True)
                    source = self._provider.stream(endpoint, call.path, body, deployment.timeout)
                    chunks = await attempt.enter_async_context(source)
                    first = await anext(chunks, None)
                    if first is None:
                        raise ProviderUnavailable(f"{deployment.name} closed the stream before it began.")
                except (ProviderUnavailable, LocalModelUnavailable) as error:
                    self._failed(deployment, error)
                    if attempts <= 0:
                        raise
                else:
                    self._router.succeeded(deployment)
                    await stack.enter_async_context(attempt.pop_all())
                    return deployment, first, chunks
            excluded = _next_excluded(call, excluded, deployment)

    @asynccontextmanager
    async def _endpoint(self, deployment: Deployment) -> AsyncIterator[Endpoint]:
        if deployment.endpoint is not None:
            yield deployment.endpoint
        elif deployment.local is not None:
            async with self._local_models.lease(deployment.local) as endpoint:
                yield endpoint

    async def _whole(self, call: Call, deployment: Deployment, endpoint: Endpoint) -> dict[str, Any]:
        body = _encoded(call, deployment, stream=False)
        raw = await self._provider.call(endpoint, call.path, body, deployment.timeout)
        try:
            answer = msgspec.json.decode(raw)
        except msgspec.DecodeError as error:
            raise ProviderUnavailable(f"{deployment.name} gave an answer that cannot be read: {error}.") from error
        if not isinstance(answer, dict) or not (answer.get("choices") or answer.get("data")):
            raise ProviderUnavailable(f"{deployment.name} gave an answer without content.")
        return answer

    async def _settle_whole(self, settlement: "_Settlement", body: dict[str, Any]) -> Answer:
        meter = StreamMeter(settlement.call.prompt_text)
        meter.see(body)
        body.pop("timings", None)
        body.pop("__verbose", None)
        return await self._settle(settlement, body, meter, UsageOutcome.COMPLETED)

    async def _settle_stream(self, settlement: "_Settlement", meter: StreamMeter, outcome: UsageOutcome) -> Answer:
        body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": meter.delivered}}]}
        return await self._settle(settlement, body, meter, outcome)

    async def _settle(
        self, settlement: "_Settlement", body: dict[str, Any], meter: StreamMeter, outcome: UsageOutcome
    ) -> Answer:
        call, charge = settlement.call, settlement.charge
        usage = meter.known or await self._counter.count(settlement.deployment, call.prompt_text, meter)
        quantities = {Meter.INPUT_TOKEN: usage.prompt, Meter.OUTPUT_TOKEN: usage.completion}
        cost = min(charge.price.amount(quantities), charge.held_nanos)
        body["model"] = call.requested_model
        answer = Answer(body, call.model.name, settlement.deployment.name, usage, cost, outcome)
        body["usage"] = {**(body.get("usage") or {}), **usage_body(answer)}
        writes = settlement.also(answer) if settlement.also is not None else ()
        await self._charges.settle(charge, Usage(quantities, outcome, settlement.details(usage)), also=writes)
        return answer

    def _tracked(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """A task that `drain` waits for."""
        task = asyncio.create_task(work)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return task

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Finish `work` even when the caller is cancelled meanwhile: money is never left half way.

        A cancelled caller goes on only after it, so that what the caller undoes then cannot overtake the settlement.
        """
        task = self._tracked(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            raise

    def _failed(self, deployment: Deployment, error: Exception) -> None:
        self._router.failed(deployment)
        log.warning("deployment failed", model=deployment.model, deployment=deployment.name, error=str(error))


@dataclass(frozen=True, slots=True)
class _Settlement:
    """What a settlement needs to know besides what was consumed."""

    call: Call
    charge: Charge
    deployment: Deployment
    context: CallContext
    also: Also | None

    def details(self, usage: TokenUsage) -> dict[str, object]:
        """What the usage record keeps beside quantities and price."""
        return {
            "surface": self.context.surface,
            "request_id": self.context.request_id,
            "operation": self.call.operation,
            "requested_model": self.call.requested_model,
            "served_model": self.call.model.name,
            "deployment": self.deployment.name,
            "estimated": usage.estimated,
        }


def _encoded(call: Call, deployment: Deployment, *, stream: bool) -> bytes:
    payload = {**call.payload, "model": deployment.upstream_model}
    if stream:
        payload["stream"] = True
        payload["stream_options"] = {"include_usage": True}
    if deployment.local is not None and stream:
        payload["timings_per_token"] = True
    return msgspec.json.encode(payload)


def _next_excluded(call: Call, excluded: set[str], failed: Deployment) -> set[str]:
    """Leave out what failed; once everything has failed, begin again."""
    tried = excluded | {failed.name}
    return tried if len(tried) < len(call.model.deployments) else set()
