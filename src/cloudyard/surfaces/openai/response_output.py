"""From a chat answer to a response object, and to the messages that a later response continues."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from cloudyard.domains.inference import Answer
from cloudyard.surfaces.openai.schemas import FunctionTool, ResponseRequest, TextFormat

Item = dict[str, Any]

COMPLETED = "completed"
INCOMPLETE = "incomplete"
IN_PROGRESS = "in_progress"
FAILED = "failed"
CUT_SHORT = "length"


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """What is known of a response before it is answered. `id` and item ids share their random part."""

    token: str
    created_at: int
    request: ResponseRequest

    @property
    def id(self) -> str:
        """The id of the response."""
        return f"resp_{self.token}"

    @property
    def stored(self) -> bool:
        """Whether it is kept; it is unless the caller says no."""
        return self.request.store is not False

    def item_id(self, kind: str, index: int) -> str:
        """The id of an output item; `kind` is `msg` or `fc`."""
        return f"{kind}_{self.token}{index:02d}"

    def body(self, status: str, output: Sequence[Item], **result: Any) -> dict[str, Any]:
        """The response object. `result` sets what is null until it is known."""
        request = self.request
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "metadata": request.metadata or {},
            "model": request.model,
            "output": list(output),
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "previous_response_id": request.previous_response_id,
            "store": self.stored,
            "temperature": request.temperature,
            "text": _text_config(request),
            "tool_choice": msgspec.to_builtins(request.tool_choice) or "auto",
            "tools": [_typed(tool) for tool in request.tools or ()],
            "top_p": request.top_p,
            "usage": None,
            "user": request.user,
            **result,
        }

    def finished(self, output: Sequence[Item], reason: str | None, answer: Answer) -> dict[str, Any]:
        """The response object of an answer that came to its end."""
        cut = reason == CUT_SHORT
        details = {"reason": "max_output_tokens"} if cut else None
        usage = response_usage(answer.body["usage"])
        return self.body(INCOMPLETE if cut else COMPLETED, output, incomplete_details=details, usage=usage)


def message_item(item_id: str, text: str, status: str = COMPLETED) -> Item:
    """A message of the model as an output item."""
    content = [] if status == IN_PROGRESS else [text_part(text)]
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content}


def text_part(text: str) -> Item:
    """The text of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def call_item(item_id: str, call_id: str, name: str, arguments: str, status: str = COMPLETED) -> Item:
    """A call that the model asks for as an output item."""
    return {
        "id": item_id,
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def output_items(head: ResponseHead, message: Mapping[str, Any], reason: str | None) -> list[Item]:
    """The output items of a whole chat answer's message."""
    status = INCOMPLETE if reason == CUT_SHORT else COMPLETED
    items: list[Item] = []
    text = message.get("content")
    calls = message.get("tool_calls") or ()
    if text or not calls:
        items.append(message_item(head.item_id("msg", 0), text or "", status))
    for call in calls:
        function = call["function"]
        item_id = head.item_id("fc", len(items))
        items.append(call_item(item_id, call["id"], function["name"], function["arguments"], status))
    return items


def spoken(output: Sequence[Item]) -> dict[str, Any]:
    """What the model said, as a message that a later request may follow."""
    texts = [part["text"] for item in output if item["type"] == "message" for part in item["content"]]
    calls = [
        {"id": item["call_id"], "type": "function", "function": {"name": item["name"], "arguments": item["arguments"]}}
        for item in output
        if item["type"] == "function_call"
    ]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) or None}
    return {**message, "tool_calls": calls} if calls else message


def response_usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Usage as responses tell it."""
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": prompt.get("cached_tokens", 0), "cache_write_tokens": 0},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": completion.get("reasoning_tokens", 0)},
        "total_tokens": usage["total_tokens"],
        "cost": usage["cost"],
    }


def _text_config(request: ResponseRequest) -> dict[str, Any]:
    wanted = request.text.format if request.text else None
    return {"format": _typed(wanted or TextFormat())}


def _typed(given: FunctionTool | TextFormat) -> dict[str, Any]:
    """What the caller gave, as it comes back in the response."""
    return {"type": given.type, **msgspec.to_builtins(given)}
