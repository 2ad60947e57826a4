"""Charged inference: hold, choose a deployment, call it, settle.

What interrupts a call, and what is charged then: refused or failed before the first token, nothing; the client
leaves, what was generated until the model stopped (a remote server that gives whole answers tells nothing of one that
it did not finish: then nothing); the provider fails in mid-stream, what was delivered; this process is killed, nothing
beyond what was settled, and the hold expires.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from cloudyard.domains.billing import Charge, Charges, Payer, Price, PriceBook, Usage, UsageOutcome
from cloudyard.domains.billing.batch import Write
from cloudyard.domains.billing.prices import Meter
from cloudyard.domains.identity import Principal, Scope
from cloudyard.domains.inference.assembly import Assembly, Unfinished
from cloudyard.domains.inference.attempts import Attempts
from cloudyard.domains.inference.catalogue import Catalogue
from cloudyard.domains.inference.metering import StreamMeter
from cloudyard.domains.inference.observation import Observed, Observer
from cloudyard.domains.inference.ports import LocalModels, Provider
from cloudyard.domains.inference.preparation import Call, Request, prepare
from cloudyard.domains.inference.records import Answer, CallContext, Deployment, TokenUsage
from cloudyard.domains.inference.routing import Router
from cloudyard.domains.inference.streaming import ChunkStream, usage_body
from cloudyard.domains.inference.token_counting import TokenCounter
from cloudyard.domains.ledger import InsufficientCredits
from cloudyard.foundation.crash_points import crash_point
from cloudyard.foundation.database import DatabaseUnavailable
from cloudyard.foundation.durable import to_its_end
from cloudyard.foundation.errors import DomainError

log = structlog.get_logger(__name__)

T = TypeVar("T")
Also = Callable[[Answer], tuple[Write, ...]]

NOTHING = TokenUsage(prompt=0)


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
        self._observer = observer
        self._attempts = Attempts(router, provider, local_models)
        self._counter = TokenCounter(provider, local_models)

    async def answer(
        self, principal: Principal, request: Request, context: CallContext, *, also: Also | None = None
    ) -> Answer:
        """A whole answer, charged before it is given out.

        `also` names writes that belong to the same transaction as the charge. Raises the errors of this domain, and
        `InsufficientCredits`, `SpendCapReached` or `PriceMissing`. Cancelled, it stops the model and charges what that
        is known to have generated.
        """
        call = self._prepare(principal, request)
        with self._observer.call(call, context) as observed:
            charge = await self._open(principal, call)
            unfinished = Unfinished()
            try:
                deployment, body = await self._attempts.whole(call, unfinished)
            except BaseException:
                if unfinished.generated is None:
                    await self._give_back(charge)
                    raise
                deployment, assembly = unfinished.generated
                settlement = _Settlement(call, charge, deployment, context, also, settles_later=True)
                await to_its_end(self._settle_cut(settlement, assembly, observed))
                raise
            crash_point("inference.answered")
            settlement = _Settlement(call, charge, deployment, context, also)
            answer = await self._settle_whole(settlement, body)
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
            try:
                deployment, begun = await self._attempts.begin(call, connection)
                await self._charges.secured(charge)
            except BaseException:
                try:
                    await connection.aclose()
                finally:
                    await self._give_back(charge)
                raise
            observed.first_token()
            settlement = _Settlement(call, charge, deployment, context, also, settles_later=True)

            async def finish(meter: StreamMeter, outcome: UsageOutcome) -> Answer:
                answer = await self._settle_stream(settlement, meter, outcome)
                observed.answered(answer, outcome)
                return answer

            stream = ChunkStream(call, begun, finish)
            try:
                yield stream
            finally:
                try:
                    await connection.aclose()
                finally:
                    await stream.end(UsageOutcome.CLIENT_LEFT)

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
        return await self._charges.begin(payer, price, {**call.worst, **_each_call(price)}, description)

    async def _give_back(self, charge: Charge) -> None:
        try:
            await self._charges.release(charge, f"{charge.description}: not served")
        except DomainError as error:
            log.warning("hold not released, it expires if there is one", hold=charge.hold_id, error=str(error))

    async def _settle_whole(self, settlement: "_Settlement", body: dict[str, Any]) -> Answer:
        meter = StreamMeter(settlement.call.prompt_text)
        meter.see(body)
        body.pop("timings", None)
        body.pop("__verbose", None)
        return await self._settle(settlement, body, meter, UsageOutcome.COMPLETED)

    async def _settle_cut(self, settlement: "_Settlement", assembly: Assembly, observed: Observed) -> None:
        """Charge for a whole answer as far as it came. Its caller has left, so a failure is told to the log alone."""
        try:
            body, outcome = assembly.answer(), UsageOutcome.CLIENT_LEFT
            answer = await self._settle(settlement, body, assembly.meter, outcome)
        except DomainError as error:
            log.warning("answer not settled whose caller left", hold=settlement.charge.hold_id, error=str(error))
        else:
            observed.answered(answer, outcome)

    async def _settle_stream(self, settlement: "_Settlement", meter: StreamMeter, outcome: UsageOutcome) -> Answer:
        body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": meter.delivered}}]}
        if outcome is UsageOutcome.PROVIDER_FAILED and not meter.delivered:
            return await self._charge(settlement, body, NOTHING, outcome)  # it failed before the first token
        return await self._settle(settlement, body, meter, outcome)

    async def _settle(
        self, settlement: "_Settlement", body: dict[str, Any], meter: StreamMeter, outcome: UsageOutcome
    ) -> Answer:
        if meter.known is not None:
            return await self._charge(settlement, body, meter.known, outcome)
        return await to_its_end(self._count_and_charge(settlement, body, meter, outcome))

    async def _count_and_charge(
        self, settlement: "_Settlement", body: dict[str, Any], meter: StreamMeter, outcome: UsageOutcome
    ) -> Answer:
        usage = await self._counter.count(settlement.deployment, settlement.call.prompt_text, meter)
        return await self._charge(settlement, body, usage, outcome)

    async def _charge(
        self, settlement: "_Settlement", body: dict[str, Any], usage: TokenUsage, outcome: UsageOutcome
    ) -> Answer:
        call, charge = settlement.call, settlement.charge
        quantities = {Meter.INPUT_TOKEN: usage.prompt, Meter.OUTPUT_TOKEN: usage.completion, **_each_call(charge.price)}
        cost = charge.amount_of(quantities)
        body["model"] = call.requested_model
        deployment = settlement.deployment.name
        answer = Answer(body, call.model.name, deployment, usage, cost, call.most_tokens, outcome)
        body["usage"] = {**(body.get("usage") or {}), **usage_body(answer)}
        used = Usage(quantities, outcome, settlement.details(usage))
        writes: tuple[Write, ...] = ()
        try:
            writes = settlement.also(answer) if settlement.also is not None else ()
            await self._charges.settle(charge, used, also=writes)
        except DatabaseUnavailable:
            if not settlement.settles_later:
                await self._give_back(charge)
                raise
            self._charges.settle_later(charge, used, also=writes)
        except InsufficientCredits:
            raise  # the hold was refused, so that there is nothing to give back
        except Exception:
            await self._give_back(charge)  # what cannot be recorded is not charged, and leaves no hold
            raise
        return answer


@dataclass(frozen=True, slots=True)
class _Settlement:
    """What a settlement needs to know besides what was consumed.

    `settles_later`: what was generated is charged even if the database fails now.
    """

    call: Call
    charge: Charge
    deployment: Deployment
    context: CallContext
    also: Also | None
    settles_later: bool = False

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


def _each_call(price: Price) -> dict[Meter, int]:
    """The call itself, where its price has a line for that."""
    return {Meter.CALL: 1} if price.line(Meter.CALL) else {}
