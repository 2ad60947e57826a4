"""Chat as Dev-PyNode has it: one message, one answer, both kept in the caller's history with the charge."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cloudyard.domains.billing.batch import Write
from cloudyard.domains.identity import Principal
from cloudyard.domains.inference import Answer, CallContext, Catalogue, Conversations, Generation, Message, Turn
from cloudyard.domains.inference import ChatRequest as InferenceRequest
from cloudyard.surfaces.pynode import mapping
from cloudyard.surfaces.pynode.policy import POLICY
from cloudyard.surfaces.pynode.schemas import ChatAnswer, ChatRequest
from cloudyard.surfaces.pynode.services import PynodeServices
from cloudyard.web.token_limits import TokenLimits

SendPiece = Callable[[str], Awaitable[None]]
AlsoWrite = Callable[[Answer, ChatAnswer], tuple[Write, ...]]


@dataclass(frozen=True, slots=True)
class ChatReply:
    """An answer, and the catalogue model that gave it."""

    answer: ChatAnswer
    served_by: str


class Exchange:
    """One question on its way to its answer; `answer` is what the model gave, None until the charge is written."""

    def __init__(
        self, conversations: Conversations, principal: Principal, asked: InferenceRequest, also: AlsoWrite | None
    ) -> None:
        self._conversations = conversations
        self._user_id = principal.user_id
        self._asked = asked
        self._also = also
        self._reply: ChatReply | None = None
        self.answer: Answer | None = None

    def keep(self, answer: Answer) -> tuple[Write, ...]:
        """The writes that belong to the charge: the turn in the history, and what the caller adds."""
        self.answer = answer
        question = self._asked.messages[0].text
        turn, write = self._turn(question, answer)
        body = mapping.chat_answer(turn, answer)
        self._reply = ChatReply(body, answer.served_by)
        return (write, *(self._also(answer, body) if self._also is not None else ()))

    @property
    def reply(self) -> ChatReply:
        """The reply, once the charge is written."""
        if self._reply is None:
            raise RuntimeError("the exchange has not ended")
        return self._reply

    def _turn(self, question: str, answer: Answer) -> tuple[Turn, Write]:
        return self._conversations.new_turn(
            self._user_id, message=question, response=answer.text, model=self._asked.model
        )


class Chat:
    """Answers chat messages, as many tokens a minute as the caller's API key allows."""

    def __init__(
        self, generation: Generation, conversations: Conversations, catalogue: Catalogue, tokens: TokenLimits
    ) -> None:
        self._generation = generation
        self._conversations = conversations
        self._catalogue = catalogue
        self._tokens = tokens

    async def answer(
        self, principal: Principal, request: ChatRequest, request_id: str, *, also: AlsoWrite | None = None
    ) -> ChatReply:
        """The whole answer. Raises `TokenLimitReached`, and what `Generation.answer` raises."""
        asked = self._asked(request)
        taken = await self._tokens.take(principal, asked)
        exchange = Exchange(self._conversations, principal, asked, also)
        context = CallContext(POLICY.name, request_id)
        try:
            await self._generation.answer(principal, asked, context, also=exchange.keep)
        finally:
            await self._tokens.make_up(taken, exchange.answer)
        return exchange.reply

    async def stream(
        self, principal: Principal, request: ChatRequest, request_id: str, send_piece: SendPiece
    ) -> ChatReply:
        """The answer, each piece of its text sent as it comes.

        Raises `TokenLimitReached`, and what `Generation.stream` raises.
        """
        asked = self._asked(request)
        taken = await self._tokens.take(principal, asked)
        exchange = Exchange(self._conversations, principal, asked, None)
        context = CallContext(POLICY.name, request_id)
        try:
            async with self._generation.stream(principal, asked, context, also=exchange.keep) as chunks:
                async for chunk in chunks:
                    piece = chunk["choices"][0].get("delta", {}).get("content")
                    if piece:
                        await send_piece(piece)
        finally:
            await self._tokens.make_up(taken, exchange.answer)
        return exchange.reply

    def _asked(self, request: ChatRequest) -> InferenceRequest:
        return InferenceRequest(
            model=request.model or self._catalogue.default_chat_model(),
            messages=[Message(role="user", content=request.message)],
            temperature=request.temperature,
            max_tokens=request.max_tokens,
        )


def new_chat(core: PynodeServices) -> Chat:
    """Chat over the services of the core."""
    tokens = TokenLimits(POLICY, core.limits, core.catalogue, core.metrics)
    return Chat(core.generation, core.conversations, core.catalogue, tokens)
