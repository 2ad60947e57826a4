"""Putting a whole answer together from the chunks of its stream."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloudyard.domains.inference.legacy_logprobs import LegacyLogprobs
from cloudyard.domains.inference.metering import StreamMeter
from cloudyard.domains.inference.preparation import CHAT_PATH, Call
from cloudyard.domains.inference.records import Deployment

OBJECTS = {True: "chat.completion", False: "text_completion"}
ABOUT_THE_ANSWER = ("id", "created", "system_fingerprint")


class Assembly:
    """Collects the chunks of one chat or text completion."""

    def __init__(self, call: Call) -> None:
        self._is_chat = call.path == CHAT_PATH
        self.meter = StreamMeter(call.prompt_text, prompts=call.prompts, choices=call.choices)
        self._logprobs = LegacyLogprobs.of(call)
        self._head: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take one chunk into the answer. Raises `ProviderUnavailable` for one of no sense."""
        self.meter.see(chunk)
        if self._logprobs is not None:
            self._logprobs.translate(chunk)
        for name in ABOUT_THE_ANSWER:
            if name in chunk:
                self._head.setdefault(name, chunk[name])
        for piece in chunk.get("choices") or ():
            index = piece.get("index", 0)
            self._choices.setdefault(index, _Choice(index)).add(piece)

    def answer(self) -> dict[str, Any]:
        """The answer in the field's common form; with usage, if the runtime told it."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        body: dict[str, Any] = {
            **self._head,
            "object": OBJECTS[self._is_chat],
            "choices": [choice.as_message() if self._is_chat else choice.as_text() for choice in choices],
        }
        usage = self.meter.known
        if usage is not None:
            body["usage"] = {
                "prompt_tokens": usage.prompt,
                "completion_tokens": usage.completion,
                "total_tokens": usage.total,
            }
        return body


@dataclass(slots=True)
class Unfinished:
    """A whole answer whose call was cancelled: which deployment had generated what of it, if anything is known."""

    generated: tuple[Deployment, Assembly] | None = None

    def keep(self, deployment: Deployment, assembly: Assembly) -> None:
        """Remember how far a deployment came, if it had begun to answer."""
        if assembly.meter.has_begun:
            self.generated = (deployment, assembly)


class _Choice:
    """One of the answers that a call asked for."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._tool_calls: dict[int, dict[str, Any]] = {}
        self._logprobs: dict[str, list[Any]] = {}
        self._finish_reason: str | None = None

    def add(self, piece: Mapping[str, Any]) -> None:
        part = piece.get("delta") or piece
        self._text.append(part.get("content") or part.get("text") or "")
        self._reasoning.append(part.get("reasoning_content") or "")
        for call in part.get("tool_calls") or ():
            self._add_tool_call(call)
        for name, values in (piece.get("logprobs") or {}).items():
            if isinstance(values, list):
                self._logprobs.setdefault(name, []).extend(values)
        self._finish_reason = piece.get("finish_reason") or self._finish_reason

    def as_message(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._text)}
        if any(self._reasoning):
            message["reasoning_content"] = "".join(self._reasoning)
        if self._tool_calls:
            message["content"] = message["content"] or None
            message["tool_calls"] = [self._tool_calls[index] for index in sorted(self._tool_calls)]
        return {**self._about(), "message": message}

    def as_text(self) -> dict[str, Any]:
        return {**self._about(), "text": "".join(self._text)}

    def _about(self) -> dict[str, Any]:
        return {
            "index": self._index,
            "finish_reason": self._finish_reason,
            "logprobs": self._logprobs or None,
        }

    def _add_tool_call(self, piece: Mapping[str, Any]) -> None:
        function = piece.get("function") or {}
        known = self._tool_calls.setdefault(
            piece.get("index", 0), {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        known["id"] = piece.get("id") or known["id"]
        known["function"]["name"] += function.get("name") or ""
        known["function"]["arguments"] += function.get("arguments") or ""
