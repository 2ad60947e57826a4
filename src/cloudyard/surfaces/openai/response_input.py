"""From a request for a response to the chat request that answers it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from cloudyard.domains.inference import ChatRequest, InvalidRequest, Message
from cloudyard.domains.inference.requests import TextPart, ToolCall, ToolFunctionCall
from cloudyard.surfaces.openai.schemas import (
    ContentPart,
    FunctionTool,
    InputItem,
    NamedTool,
    ResponseRequest,
    TextFormat,
)


def new_messages(request: ResponseRequest) -> list[Message]:
    """What the request adds to the conversation. Raises `InvalidRequest`."""
    if isinstance(request.input, str):
        return [Message("user", request.input)]
    messages: list[Message] = []
    for number, item in enumerate(request.input):
        _add(messages, item, f"input.{number}")
    return messages


def earlier_messages(stored: Sequence[Any]) -> list[Message]:
    """A conversation as it was kept."""
    return msgspec.convert(stored, list[Message])


def chat_request(request: ResponseRequest, conversation: Sequence[Message]) -> ChatRequest:
    """The chat request behind a response. Instructions hold for this response only. Raises `InvalidRequest`."""
    _refuse_unsupported(request)
    instructions = [Message("system", request.instructions)] if request.instructions else []
    return ChatRequest(
        model=request.model,
        messages=[*instructions, *conversation],
        max_completion_tokens=request.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        response_format=_response_format(request.text.format if request.text else None),
        tools=[_tool(tool) for tool in request.tools] if request.tools else None,
        tool_choice=_tool_choice(request.tool_choice),
        parallel_tool_calls=request.parallel_tool_calls,
        stream=request.stream,
        user=request.user,
    )


def _refuse_unsupported(request: ResponseRequest) -> None:
    if request.background:
        raise InvalidRequest(
            "Responses are not made in the background here. Leave `background` out, and stream instead.",
            field="background",
        )
    if request.conversation is not None:
        raise InvalidRequest(
            "Conversations are not kept here. Leave `conversation` out, and use `previous_response_id`.",
            field="conversation",
        )


def _add(messages: list[Message], item: InputItem, place: str) -> None:
    if item.type == "message":
        messages.append(_message(item, place))
    elif item.type == "function_call":
        _add_call(messages, _call(item, place))
    else:
        messages.append(_result(item, place))


def _message(item: InputItem, place: str) -> Message:
    if item.role is None:
        raise _missing(f"{place}.role")
    if item.content is None:
        raise _missing(f"{place}.content")
    return Message(item.role, _content(item.content))


def _add_call(messages: list[Message], call: ToolCall) -> None:
    """Calls that come one after the other are one turn of the model."""
    last = messages[-1] if messages else None
    if last is not None and last.role == "assistant":
        messages[-1] = msgspec.structs.replace(last, tool_calls=[*(last.tool_calls or []), call])
    else:
        messages.append(Message("assistant", tool_calls=[call]))


def _call(item: InputItem, place: str) -> ToolCall:
    if item.call_id is None or item.name is None or item.arguments is None:
        name = "call_id" if item.call_id is None else "name" if item.name is None else "arguments"
        raise _missing(f"{place}.{name}")
    return ToolCall(item.call_id, ToolFunctionCall(item.name, item.arguments))


def _result(item: InputItem, place: str) -> Message:
    if item.call_id is None or item.output is None:
        raise _missing(f"{place}.{'call_id' if item.call_id is None else 'output'}")
    return Message("tool", _content(item.output), tool_call_id=item.call_id)


def _content(content: str | list[ContentPart]) -> str | list[TextPart]:
    return content if isinstance(content, str) else [TextPart(part.text) for part in content]


def _response_format(wanted: TextFormat | None) -> dict[str, Any] | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {"type": "json_object"}
    if wanted.schema is None or not wanted.name:
        raise _missing(f"text.format.{'schema' if wanted.schema is None else 'name'}")
    given = msgspec.to_builtins(wanted)
    return {"type": "json_schema", "json_schema": {name: given[name] for name in given if name != "type"}}


def _tool(tool: FunctionTool) -> dict[str, Any]:
    given = msgspec.to_builtins(tool)
    return {"type": "function", "function": {name: given[name] for name in given if name != "type"}}


def _tool_choice(choice: str | NamedTool | None) -> str | dict[str, Any] | None:
    if isinstance(choice, NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def _missing(field: str) -> InvalidRequest:
    return InvalidRequest(f"Missing required parameter: `{field}`.", field=field)
