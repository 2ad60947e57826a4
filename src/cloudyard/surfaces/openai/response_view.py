"""How the answer to a request for a response is written out and kept."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from cloudyard.domains.billing import UsageOutcome
from cloudyard.domains.billing.batch import Write
from cloudyard.domains.inference import Answer, ChatRequest, Conversations, Message
from cloudyard.foundation.errors import DomainError
from cloudyard.surfaces.openai.response_events import ResponseEvents
from cloudyard.surfaces.openai.response_output import ResponseHead, output_items, spoken
from cloudyard.surfaces.openai.views import encode

FIELDS: Mapping[str, str] = MappingProxyType(
    {"messages": "input", "max_completion_tokens": "max_output_tokens", "response_format": "text.format"}
)


class ResponseView:
    """The view of one response. `conversation` is everything said before the answer, without instructions."""

    __slots__ = ("_conversation", "_conversations", "_events", "_head", "_user_id", "request")

    fields: Mapping[str, str] = FIELDS

    def __init__(
        self,
        head: ResponseHead,
        request: ChatRequest,
        conversation: Sequence[Message],
        conversations: Conversations,
        user_id: str,
    ) -> None:
        self.request = request
        self._head = head
        self._conversation = conversation
        self._conversations = conversations
        self._user_id = user_id
        self._events = ResponseEvents(head)

    @property
    def stream(self) -> bool:
        """Whether the answer is wanted as a stream."""
        return bool(self.request.stream)

    def whole(self, answer: Answer) -> bytes:
        """The response object."""
        return encode(self._response(answer))

    def pieces(self, chunk: dict[str, Any]) -> bytes:
        """The events of a chunk."""
        return self._events.pieces(chunk)

    def closing(self, answer: Answer) -> bytes:
        """The events that end the response."""
        return self._events.closing(answer)

    def broken_off(self, error: DomainError) -> bytes:
        """The event of a response that failed."""
        return self._events.failed(error)

    def writes(self, answer: Answer) -> tuple[Write, ...]:
        """The response and its conversation, if they are to be kept and there is an answer to keep."""
        if not self._head.stored or answer.outcome is not UsageOutcome.COMPLETED:
            return ()
        response = self._response(answer)
        said = [*msgspec.to_builtins(self._conversation), spoken(response["output"])]
        return (
            self._conversations.keep_response(
                self._head.id, self._user_id, model=answer.served_by, messages=said, body=response
            ),
        )

    def _response(self, answer: Answer) -> dict[str, Any]:
        if self.stream:
            return self._events.response(answer)
        choice = answer.body["choices"][0]
        reason = choice.get("finish_reason")
        return self._head.finished(output_items(self._head, choice["message"], reason), reason, answer)
