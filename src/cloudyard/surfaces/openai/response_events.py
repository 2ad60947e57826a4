"""The events of a streamed response (OpenAI API reference, responses, streaming), made from chat chunks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cloudyard.domains.inference import Answer
from cloudyard.foundation.errors import DomainError
from cloudyard.surfaces.openai.errors import SERVER_ERROR
from cloudyard.surfaces.openai.response_output import (
    COMPLETED,
    CUT_SHORT,
    FAILED,
    IN_PROGRESS,
    INCOMPLETE,
    Item,
    ResponseHead,
    call_item,
    message_item,
    text_part,
)
from cloudyard.surfaces.openai.views import encode

Event = dict[str, Any]


@dataclass(slots=True)
class _Text:
    """A message of the model while it comes."""

    id: str
    index: int
    pieces: list[str] = field(default_factory=list)

    def item(self, status: str) -> Item:
        return message_item(self.id, "".join(self.pieces), status)

    def begin(self) -> list[Event]:
        part = {"type": "response.content_part.added", **self._place(), "part": text_part("")}
        return [_added(self.index, self.item(IN_PROGRESS)), part]

    def add(self, piece: str) -> Event:
        self.pieces.append(piece)
        return {"type": "response.output_text.delta", **self._place(), "delta": piece, "logprobs": []}

    def end(self, status: str) -> list[Event]:
        text = "".join(self.pieces)
        return [
            {"type": "response.output_text.done", **self._place(), "text": text, "logprobs": []},
            {"type": "response.content_part.done", **self._place(), "part": text_part(text)},
            _done(self.index, self.item(status)),
        ]

    def _place(self) -> Event:
        return {"item_id": self.id, "output_index": self.index, "content_index": 0}


@dataclass(slots=True)
class _Call:
    """A call that the model asks for while it comes."""

    id: str
    index: int
    call_id: str
    name: str
    pieces: list[str] = field(default_factory=list)

    def item(self, status: str) -> Item:
        return call_item(self.id, self.call_id, self.name, "".join(self.pieces), status)

    def begin(self) -> list[Event]:
        return [_added(self.index, self.item(IN_PROGRESS))]

    def add(self, piece: str) -> Event:
        self.pieces.append(piece)
        return {"type": "response.function_call_arguments.delta", **self._place(), "delta": piece}

    def end(self, status: str) -> list[Event]:
        arguments = "".join(self.pieces)
        told = {"type": "response.function_call_arguments.done", **self._place(), "name": self.name}
        return [{**told, "arguments": arguments}, _done(self.index, self.item(status))]

    def _place(self) -> Event:
        return {"item_id": self.id, "output_index": self.index}


class ResponseEvents:
    """Turns chunks into events. `closing` and `failed` change nothing, so both may be asked for more than once."""

    def __init__(self, head: ResponseHead) -> None:
        self._head = head
        self._sequence = 0
        self._items: list[_Text | _Call] = []
        self._text: _Text | None = None
        self._calls: dict[int, _Call] = {}
        self._reason: str | None = None

    def pieces(self, chunk: Mapping[str, Any]) -> bytes:
        """The events of a chunk; the first one begins the response."""
        events = self._beginning() if self._sequence == 0 else []
        for choice in chunk["choices"][:1]:
            self._reason = choice.get("finish_reason") or self._reason
            events += self._added_by(choice.get("delta") or {})
        written = _written(events, self._sequence)
        self._sequence += len(events)
        return written

    def output(self) -> list[Item]:
        """The finished output."""
        return [item.item(self._final_status) for item in self._finished_items()]

    def response(self, answer: Answer) -> dict[str, Any]:
        """The finished response object."""
        return self._head.finished(self.output(), self._reason, answer)

    def closing(self, answer: Answer) -> bytes:
        """The events that end the items and the response."""
        response = self.response(answer)
        events = [] if self._items else self._finished_items()[0].begin()
        for item in self._finished_items():
            events += item.end(self._final_status)
        return _written([*events, {"type": f"response.{response['status']}", "response": response}], self._sequence)

    def failed(self, error: DomainError) -> bytes:
        """The event that ends a response that broke off."""
        output = [item.item(INCOMPLETE) for item in self._items]
        response = self._head.body(FAILED, output, error={"code": SERVER_ERROR, "message": error.message})
        return _written([{"type": "response.failed", "response": response}], self._sequence)

    @property
    def _final_status(self) -> str:
        return INCOMPLETE if self._reason == CUT_SHORT else COMPLETED

    def _beginning(self) -> list[Event]:
        response = self._head.body(IN_PROGRESS, [])
        return [{"type": f"response.{what}", "response": response} for what in ("created", "in_progress")]

    def _finished_items(self) -> list[_Text | _Call]:
        """What was said; an empty message if that was nothing."""
        return self._items or [_Text(self._head.item_id("msg", 0), 0)]

    def _added_by(self, delta: Mapping[str, Any]) -> list[Event]:
        events: list[Event] = []
        text = delta.get("content")
        if text:
            if self._text is None:
                self._text = _Text(self._head.item_id("msg", len(self._items)), len(self._items))
                events += self._begun(self._text)
            events.append(self._text.add(text))
        for call in delta.get("tool_calls") or ():
            events += self._added_to_call(call)
        return events

    def _added_to_call(self, given: Mapping[str, Any]) -> list[Event]:
        function = given.get("function") or {}
        number = given.get("index", 0)
        call = self._calls.get(number)
        events: list[Event] = []
        if call is None:
            index = len(self._items)
            call = _Call(self._head.item_id("fc", index), index, given.get("id") or "", function.get("name") or "")
            self._calls[number] = call
            events = self._begun(call)
        if function.get("arguments"):
            events.append(call.add(function["arguments"]))
        return events

    def _begun(self, item: _Text | _Call) -> list[Event]:
        self._items.append(item)
        return item.begin()


def _added(index: int, item: Item) -> Event:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def _done(index: int, item: Item) -> Event:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def _written(events: list[Event], sequence: int) -> bytes:
    numbered = ({**event, "sequence_number": sequence + n} for n, event in enumerate(events))
    return b"".join(b"event: %s\ndata: %s\n\n" % (event["type"].encode(), encode(event)) for event in numbered)
