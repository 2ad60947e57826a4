"""What is kept of an answer, in the transaction that charges for it.

That is what its view wants (a response that can be continued), and, where the call carried an idempotency key, the
answer as it goes out: so no crash between the charge and the answer can charge a repetition again.
"""

from collections.abc import Callable
from contextlib import aclosing

from cloudyard.domains.billing.batch import Write
from cloudyard.domains.inference import Answer, ChunkStream
from cloudyard.foundation.durable import StoredAnswer
from cloudyard.foundation.errors import DomainError
from cloudyard.surfaces.openai.errors import OpenAIErrors
from cloudyard.surfaces.openai.views import Request, View
from cloudyard.web.errors import log_withheld
from cloudyard.web.interruption import interruption_of
from cloudyard.web.sse import Events

MODEL_HEADER = "x-cloudyard-model"
JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream; charset=utf-8"

Store = Callable[[StoredAnswer], Write]


class Keeping:
    """One answer under way. `store` gives the write that keeps it for repetitions, if they are to be expected.

    `answer` is what came of it, however it ended; None until the charge for it is written.
    """

    __slots__ = ("_store", "_told", "answer", "view")

    def __init__(self, view: View[Request], store: Store | None = None) -> None:
        self.view = view
        self.answer: Answer | None = None
        self._store = store
        self._told = bytearray()

    async def events(self, stream: ChunkStream) -> Events:
        """The events of a stream as they go out. A failure after the first is an event too, and the last."""
        try:
            async with aclosing(aiter(stream)) as chunks:
                async for chunk in chunks:
                    pieces = self.view.pieces(chunk)
                    if self._store is not None:
                        self._told += pieces
                    if pieces:
                        yield pieces
        except DomainError as error:
            log_withheld(error, model=stream.served_by)
            yield self.view.broken_off(error)
            return
        if stream.answer is not None:
            yield self.view.closing(stream.answer)

    def whole(self, answer: Answer) -> tuple[Write, ...]:
        """The writes of a whole answer; of one whose caller left, what tells a repetition so."""
        self.answer = answer
        writes = self.view.writes(answer)
        if self._store is None:
            return writes
        interruption = interruption_of(answer)
        if interruption is not None:
            told = OpenAIErrors().render(interruption, "")
            return (*writes, self._store(_stored(answer, JSON_TYPE, told.body, told.status)))
        return (*writes, self._store(_stored(answer, JSON_TYPE, self.view.whole(answer))))

    def streamed(self, answer: Answer) -> tuple[Write, ...]:
        """The writes of a streamed answer: what went out, and what ends it."""
        self.answer = answer
        writes = self.view.writes(answer)
        if self._store is None:
            return writes
        interruption = interruption_of(answer)
        last = self.view.closing(answer) if interruption is None else self.view.broken_off(interruption)
        return (*writes, self._store(_stored(answer, STREAM_TYPE, bytes(self._told) + last)))


def _stored(answer: Answer, content_type: str, body: bytes, status: int = 200) -> StoredAnswer:
    return StoredAnswer(status, {"content-type": content_type, MODEL_HEADER: answer.served_by}, body)
