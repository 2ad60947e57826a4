"""One question to a model: charged, limited, kept in the chat history, and answered once for its idempotency key."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import msgspec

from cloudyard.domains.billing.batch import Write
from cloudyard.domains.identity import Principal
from cloudyard.domains.inference import Answer, CallContext, ChatRequest, Conversations, Message
from cloudyard.foundation.durable import StoredAnswer
from cloudyard.foundation.durable.idempotency import KeyClaim
from cloudyard.foundation.errors import DomainError
from cloudyard.foundation.money import plain_number, usd_from_nanos
from cloudyard.surfaces.mcp.policy import POLICY
from cloudyard.surfaces.mcp.services import McpServices
from cloudyard.surfaces.mcp.views import ChatAnswer
from cloudyard.web.idempotency import fingerprint, once, scope_of
from cloudyard.web.interruption import StreamInterrupted, interruption_of
from cloudyard.web.token_limits import TokenLimits

OPERATION = "mcp:chat"

Report = Callable[[str], Awaitable[None]]
Store = Callable[[StoredAnswer], Write]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `model` None is the default one."""

    message: str
    model: str | None
    system: str | None
    max_tokens: int | None


class Chat:
    """Answers questions."""

    def __init__(self, services: McpServices) -> None:
        self._services = services
        self._tokens = TokenLimits(POLICY, services.limits, services.catalogue, services.metrics)

    async def answer(
        self, caller: Principal, question: Question, request_id: str, report: Report, *, key: str | None
    ) -> ChatAnswer:
        """The answer; each piece of its text is reported as it comes.

        With a key that was used before it is the answer of that time, charged once. Cancelled, it stops the model and
        charges what that had generated. Raises the errors of `Generation.stream`, of `once`, and `TokenLimitReached`.
        """
        if key is None:
            return await self._produce(caller, question, request_id, report, None)
        answers: list[ChatAnswer] = []

        async def produce(claim: KeyClaim) -> None:
            store = partial(self._services.idempotency.completion, claim)
            answers.append(await self._produce(caller, question, request_id, report, store))

        asked = fingerprint("tools/call", "chat", msgspec.json.encode(question))
        scope = scope_of(caller.user_id, OPERATION)
        stored = await once(self._services.idempotency, scope, key, asked, produce)
        return answers[0] if stored is None else _repeated(stored)

    async def _produce(
        self, caller: Principal, question: Question, request_id: str, report: Report, store: Store | None
    ) -> ChatAnswer:
        services, request = self._services, self._request(question)
        exchange = Exchange(services.conversations, caller, question, request.model, store)
        taken = await self._tokens.take(caller, request)
        try:
            context = CallContext(POLICY.name, request_id)
            async with services.generation.stream(caller, request, context, also=exchange.keep) as stream:
                async for chunk in stream:
                    await report(exchange.see(chunk))
        finally:
            await self._tokens.make_up(taken, exchange.answer)
        return exchange.shown

    def _request(self, question: Question) -> ChatRequest:
        spoken = [Message(role="system", content=question.system)] if question.system else []
        return ChatRequest(
            model=question.model or self._services.catalogue.default_chat_model(),
            messages=[*spoken, Message(role="user", content=question.message)],
            max_tokens=question.max_tokens,
        )


class Exchange:
    """A question on its way to its answer; `answer` is what the model gave, None until the charge is written."""

    def __init__(
        self, conversations: Conversations, caller: Principal, question: Question, model: str, store: Store | None
    ) -> None:
        self._conversations = conversations
        self._user_id = caller.user_id
        self._question = question
        self._model = model
        self._store = store
        self._finish_reason: str | None = None
        self.answer: Answer | None = None

    def see(self, chunk: dict[str, Any]) -> str:
        """Take in a chunk of the stream; its text."""
        choice = chunk["choices"][0]
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        return (choice.get("delta") or {}).get("content") or ""

    def keep(self, answer: Answer) -> tuple[Write, ...]:
        """The writes that belong to the charge: the turn in the history, and the answer for repetitions."""
        self.answer = answer
        _, turn = self._conversations.new_turn(
            self._user_id, message=self._question.message, response=answer.text, model=self._model
        )
        return (turn,) if self._store is None else (turn, self._store(self._stored(answer)))

    @property
    def shown(self) -> ChatAnswer:
        """The answer as the tool gives it, once the charge is written."""
        if self.answer is None:
            raise RuntimeError("the exchange has not ended")
        return self._shown(self.answer)

    def _shown(self, answer: Answer) -> ChatAnswer:
        return ChatAnswer(
            text=answer.text,
            model=answer.served_by,
            finish_reason=self._finish_reason,
            prompt_tokens=answer.usage.prompt,
            completion_tokens=answer.usage.completion,
            cost_usd=float(plain_number(usd_from_nanos(answer.cost_nanos))),
        )

    def _stored(self, answer: Answer) -> StoredAnswer:
        interruption = interruption_of(answer)
        if interruption is not None:
            return StoredAnswer(HTTPStatus.BAD_GATEWAY, {}, interruption.message.encode())
        return StoredAnswer(HTTPStatus.OK, {}, self._shown(answer).model_dump_json().encode())


def _repeated(stored: StoredAnswer) -> ChatAnswer:
    """What was answered the first time. Raises what was told then."""
    if stored.status != HTTPStatus.OK:
        raise StreamInterrupted(stored.body.decode())
    return ChatAnswer.model_validate_json(stored.body)


def told(error: DomainError) -> str:
    """What a model hears of an error, in the words of this tool."""
    return error.message.replace("Idempotency-Key", "`idempotency_key`")
