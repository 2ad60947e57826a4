"""Chat completions over the charged path of every surface: limited, idempotent, stopped when the client leaves."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cloudyard.domains.identity import Principal
from cloudyard.domains.inference import CallContext, ChatRequest
from cloudyard.foundation.durable.idempotency import KeyClaim
from cloudyard.surfaces.aihub.completion import JSON_TYPE, MODEL_HEADER, Completion
from cloudyard.surfaces.aihub.errors import AihubErrors
from cloudyard.surfaces.aihub.policy import POLICY
from cloudyard.surfaces.aihub.schemas import Meta
from cloudyard.surfaces.aihub.services import AihubServices
from cloudyard.web.disconnect import unless_left
from cloudyard.web.errors import ClientLeft
from cloudyard.web.idempotency import KeyedRequest, as_response, once
from cloudyard.web.sse import EventStream
from cloudyard.web.token_limits import TokenLimits, TokensTaken


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks what. `keyed` is there where the request carried an idempotency key."""

    principal: Principal
    request: ChatRequest
    meta: Meta
    keyed: KeyedRequest | None


class ChatResponse(Response):
    """Asks the model while it answers, so that a stream begins with the model's first word.

    What fails before the answer has begun is raised as from any route.
    """

    def __init__(self, services: AihubServices, question: Question) -> None:
        super().__init__()
        self._services = services
        self._question = question
        self._context = CallContext(POLICY.name, question.meta.request_id)
        self._errors = AihubErrors(services.clock)
        self._tokens = TokenLimits(POLICY, services.limits, services.catalogue, services.metrics)
        self._streams = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. The request's body must have been read before."""
        try:
            await self._answer(scope, receive, send)
        except ClientLeft:
            if not self._streams:
                raise
            # the framework takes no error once the answer has begun, and nobody is left to hear of one

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        question = self._question
        if question.keyed is None:
            await self._produce(Completion(question.meta, self._errors), scope, receive, send)
            return
        keys, keyed = self._services.idempotency, question.keyed

        async def produce(claim: KeyClaim) -> None:
            completion = Completion(question.meta, self._errors, partial(keys.completion, claim))
            await self._produce(completion, scope, receive, send)

        stored = await once(keys, keyed.scope, keyed.key, keyed.fingerprint, produce)
        if stored is not None:
            await as_response(stored)(scope, receive, send)

    async def _produce(self, completion: Completion, scope: Scope, receive: Receive, send: Send) -> None:
        taken = await self._tokens.take(self._question.principal, self._question.request)
        if self._question.request.stream:
            await self._stream(completion, taken, scope, receive, send)
        else:
            await self._whole(completion, taken, scope, receive, send)

    async def _whole(
        self, completion: Completion, taken: TokensTaken | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        question = self._question
        work = self._services.generation.answer(
            question.principal, question.request, self._context, also=completion.keep_whole
        )
        try:
            answer = await unless_left(receive, work)
        finally:
            await self._tokens.make_up(taken, completion.answer)
        headers = {MODEL_HEADER: answer.served_by}
        await Response(completion.body(answer), media_type=JSON_TYPE, headers=headers)(scope, receive, send)

    async def _stream(
        self, completion: Completion, taken: TokensTaken | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        question = self._question
        opening = self._services.generation.stream(
            question.principal, question.request, self._context, also=completion.keep_streamed
        )
        try:
            async with AsyncExitStack() as stack:
                stream = await unless_left(receive, stack.enter_async_context(opening))
                self._streams = True
                events = EventStream(completion.events(stream), headers={MODEL_HEADER: stream.served_by})
                await events(scope, receive, send)
        finally:
            await self._tokens.make_up(taken, completion.answer)
