"""One chat completion under way: how it goes out, and what is kept of it in the transaction that charges for it."""

from collections.abc import Callable
from contextlib import aclosing

from pydantic import BaseModel

from cloudyard.domains.billing.batch import Write
from cloudyard.domains.inference import Answer, ChunkStream
from cloudyard.foundation.durable import StoredAnswer
from cloudyard.foundation.errors import DomainError
from cloudyard.surfaces.aihub.chat_mapping import chunk_view, closing_view, completion_view
from cloudyard.surfaces.aihub.chat_schemas import ChatCompletionView
from cloudyard.surfaces.aihub.errors import AihubErrors
from cloudyard.surfaces.aihub.schemas import Envelope, Meta
from cloudyard.web.errors import log_withheld
from cloudyard.web.interruption import interruption_of
from cloudyard.web.sse import Events, event

DONE = event(b"[DONE]")
JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream; charset=utf-8"
MODEL_HEADER = "x-cloudyard-model"

Store = Callable[[StoredAnswer], Write]


class Completion:
    """A completion that is written out. `store` gives the write that keeps it for repetitions by its key.

    `answer` is what came of it, however it ended; None until the charge for it is written.
    """

    def __init__(self, meta: Meta, errors: AihubErrors, store: Store | None = None) -> None:
        self.answer: Answer | None = None
        self._meta = meta
        self._errors = errors
        self._store = store
        self._id = f"chatcmpl-{meta.request_id}"
        self._told = bytearray()

    def body(self, answer: Answer) -> bytes:
        """A whole answer in its envelope."""
        view = completion_view(answer, self._id)
        return Envelope[ChatCompletionView](data=view, meta=self._meta).model_dump_json(by_alias=True).encode()

    async def events(self, stream: ChunkStream) -> Events:
        """The events of a stream as they go out. A failure after the first is an event too, and the last."""
        try:
            async with aclosing(aiter(stream)) as chunks:
                async for chunk in chunks:
                    view = chunk_view(chunk, self._id)
                    self._id = view.id
                    yield self._tell(view)
        except DomainError as error:
            log_withheld(error, model=stream.served_by)
            yield self._broken_off(error)
            return
        if stream.answer is not None:
            yield self._closing(stream.answer)

    def keep_whole(self, answer: Answer) -> tuple[Write, ...]:
        """The writes of a whole answer; of one whose caller left, what tells a repetition so."""
        self.answer = answer
        if self._store is None:
            return ()
        interruption = interruption_of(answer)
        if interruption is None:
            return (self._store(_stored(answer, JSON_TYPE, self.body(answer))),)
        told = self._errors.render(interruption, self._meta.request_id)
        return (self._store(_stored(answer, JSON_TYPE, told.body, told.status)),)

    def keep_streamed(self, answer: Answer) -> tuple[Write, ...]:
        """The writes of a streamed answer: what went out, and what ends it."""
        self.answer = answer
        if self._store is None:
            return ()
        interruption = interruption_of(answer)
        last = self._closing(answer) if interruption is None else self._broken_off(interruption)
        return (self._store(_stored(answer, STREAM_TYPE, bytes(self._told) + last)),)

    def _tell(self, view: BaseModel) -> bytes:
        piece = _data(view)
        if self._store is not None:
            self._told += piece
        return piece

    def _closing(self, answer: Answer) -> bytes:
        return _data(closing_view(answer, self._id)) + DONE

    def _broken_off(self, error: DomainError) -> bytes:
        """The error in its envelope; nothing marks the end then."""
        return event(self._errors.render(error, self._meta.request_id).body)


def _data(view: BaseModel) -> bytes:
    return event(view.model_dump_json(by_alias=True, exclude_unset=True).encode())


def _stored(answer: Answer, content_type: str, body: bytes, status: int = 200) -> StoredAnswer:
    return StoredAnswer(status, {"content-type": content_type, MODEL_HEADER: answer.served_by}, body)
