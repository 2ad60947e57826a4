"""The endpoints that run models. Raw ASGI: at thousands of calls a second a framework's routing is half the cost."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

from starlette.types import Receive, Scope, Send

from cloudyard.domains.inference import Generation
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.durable import IdempotencyKeys
from cloudyard.foundation.durable.idempotency import KeyClaim
from cloudyard.foundation.errors import DomainError
from cloudyard.surfaces.openai.keeping import MODEL_HEADER, Keeping
from cloudyard.surfaces.openai.policy import SURFACE, token_headers
from cloudyard.surfaces.openai.routes.calls import JSON, Call, read_call, send_body, send_stored
from cloudyard.surfaces.openai.views import Request, View
from cloudyard.web.disconnect import unless_left
from cloudyard.web.idempotency import fingerprint, once, scope_of
from cloudyard.web.policy import Header
from cloudyard.web.sse import send_events
from cloudyard.web.token_limits import TokenLimits, TokensTaken

IDEMPOTENCY_KEY = b"idempotency-key"

ReadView = Callable[[Call], Awaitable[View[Request]]]


class InferenceEndpoint:
    """One endpoint. `read` turns a call into the view of its answer, or raises what is wrong with it."""

    def __init__(
        self,
        path: str,
        read: ReadView,
        generation: Generation,
        tokens: TokenLimits,
        idempotency: IdempotencyKeys,
        clock: Clock,
    ) -> None:
        self.path = path
        self._read = read
        self._generation = generation
        self._tokens = tokens
        self._idempotency = idempotency
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        scope["state"]["route"] = self.path
        call = await read_call(scope, receive, send)
        view = await self._read(call)
        key = call.headers.get(IDEMPOTENCY_KEY)
        try:
            if key is None:
                await self._answer(call, Keeping(view))
            else:
                await self._answer_once(call, view, key.decode("latin-1"))
        except DomainError as error:
            error.field = view.fields.get(error.field or "", error.field)
            raise

    async def _answer_once(self, call: Call, view: View[Request], key: str) -> None:
        async def produce(claim: KeyClaim) -> None:
            await self._answer(call, Keeping(view, partial(self._idempotency.completion, claim)))

        scope = scope_of(call.principal.user_id, SURFACE + self.path)
        stored = await once(self._idempotency, scope, key, fingerprint("POST", self.path, call.body), produce)
        if stored is not None:
            await send_stored(call.send, stored)

    async def _answer(self, call: Call, keeping: Keeping) -> None:
        taken = await self._tokens.take(call.principal, keeping.view.request)
        if keeping.view.stream:
            await self._stream(call, keeping, taken)
        else:
            await self._whole(call, keeping, taken)

    async def _whole(self, call: Call, keeping: Keeping, taken: TokensTaken | None) -> None:
        view = keeping.view
        work = self._generation.answer(call.principal, view.request, call.context, also=keeping.whole)
        try:
            answer = await unless_left(call.receive, work)
        finally:
            await self._tokens.make_up(taken, keeping.answer)
        headers = self._headers(call, answer.served_by, taken)
        await send_body(call.send, view.whole(answer), (JSON, *headers))

    async def _stream(self, call: Call, keeping: Keeping, taken: TokensTaken | None) -> None:
        request = keeping.view.request
        opening = self._generation.stream(call.principal, request, call.context, also=keeping.streamed)
        try:
            async with AsyncExitStack() as stack:
                stream = await unless_left(call.receive, stack.enter_async_context(opening))
                headers = self._headers(call, stream.served_by, taken)
                await send_events(call.receive, call.send, keeping.events(stream), headers=headers)
        finally:
            await self._tokens.make_up(taken, keeping.answer)

    def _headers(self, call: Call, served_by: str, taken: TokensTaken | None) -> list[Header]:
        elapsed = self._clock.monotonic() - call.started_at
        headers = [
            (b"openai-processing-ms", b"%d" % (elapsed * 1000)),
            (MODEL_HEADER.encode(), served_by.encode("ascii", "backslashreplace")),
        ]
        if taken is not None:
            headers.extend(token_headers(taken.verdict, self._clock.now().timestamp()))
        return headers
