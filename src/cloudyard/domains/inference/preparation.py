"""Turning a request into a call: what is sent, what it may cost at worst, and what is refused up front."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from cloudyard.domains.billing import Meter
from cloudyard.domains.inference.errors import ContextTooLong, InvalidRequest
from cloudyard.domains.inference.json_schemas import fault_of
from cloudyard.domains.inference.metering import TOKENS_A_MESSAGE, TOKENS_A_TEMPLATE, most_tokens_of
from cloudyard.domains.inference.records import Model, ModelKind
from cloudyard.domains.inference.requests import ChatRequest, CompletionRequest, EmbeddingRequest

CHAT_PATH = "/chat/completions"
COMPLETION_PATH = "/completions"
EMBEDDING_PATH = "/embeddings"
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

Request = ChatRequest | CompletionRequest | EmbeddingRequest


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it goes to a deployment. `worst` is the most that it may consume."""

    model: Model
    requested_model: str
    operation: str
    path: str
    payload: Mapping[str, Any]
    worst: Mapping[Meter, int]
    prompt_text: str
    include_usage: bool = False
    prompts: int = 1
    choices: int = 1

    @property
    def most_tokens(self) -> int:
        """All tokens that it may consume."""
        return sum(self.worst.values())


def prepare(model: Model, request: Request) -> Call:
    """Check a request against its model. Raises `InvalidRequest` or `ContextTooLong`."""
    if isinstance(request, ChatRequest):
        return _chat(model, request)
    if isinstance(request, CompletionRequest):
        return _completion(model, request)
    return _embedding(model, request)


def _chat(model: Model, request: ChatRequest) -> Call:
    _expect(model, ModelKind.CHAT, "chat")
    _check_tools(model, request)
    _check_format(request.response_format)
    text = "\n".join(message.everything for message in request.messages)
    _check_text(text, "messages")
    if not text.strip():
        raise InvalidRequest("The messages are empty. Write some text into one of them.", field="messages")
    bound = most_tokens_of(text) + TOKENS_A_MESSAGE * len(request.messages) + TOKENS_A_TEMPLATE
    if request.tools or request.response_format:
        bound += len(msgspec.json.encode([request.tools, request.response_format]))
    field, asked = "max_completion_tokens", request.max_completion_tokens
    if asked is None:
        field, asked = "max_tokens", request.max_tokens
    payload = _payload(request)
    payload.pop("max_completion_tokens", None)
    payload["max_tokens"] = _output_limit(model, asked, field)
    if "tools" not in model.capabilities:
        payload.pop("tools", None)
        payload.pop("tool_choice", None)
    return Call(
        model,
        request.model,
        "chat",
        CHAT_PATH,
        payload,
        _worst(model, bound, payload["max_tokens"] * (request.n or 1)),
        text,
        _wants_usage(request),
        choices=request.n or 1,
    )


def _completion(model: Model, request: CompletionRequest) -> Call:
    _expect(model, ModelKind.CHAT, "completions")
    prompts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
    if any(not prompt for prompt in prompts):
        raise InvalidRequest("The prompt is empty. Give it at least one character.", field="prompt")
    if request.echo:
        raise InvalidRequest(
            "The prompt is not repeated before its answer here. Leave `echo` out, and put the two together yourself.",
            field="echo",
        )
    text = "\n".join(prompts)
    _check_text(text, "prompt")
    payload = _payload(request)
    payload["max_tokens"] = _output_limit(model, request.max_tokens, "max_tokens")
    bound = most_tokens_of(text) + TOKENS_A_MESSAGE * len(prompts)
    choices = len(prompts) * (request.n or 1)
    return Call(
        model,
        request.model,
        "text_completion",
        COMPLETION_PATH,
        payload,
        _worst(model, bound, payload["max_tokens"] * choices, prompts=len(prompts)),
        text,
        _wants_usage(request),
        prompts=len(prompts),
        choices=request.n or 1,
    )


def _embedding(model: Model, request: EmbeddingRequest) -> Call:
    _expect(model, ModelKind.EMBEDDING, "embeddings")
    bound = sum(most_tokens_of(text) + TOKENS_A_MESSAGE for text in request.texts)
    worst = {Meter.INPUT_TOKEN: min(bound, model.context_length * len(request.texts))}
    text = "\n".join(request.texts)
    _check_text(text, "input")
    return Call(model, request.model, "embeddings", EMBEDDING_PATH, _payload(request), worst, text)


def _payload(request: Request) -> dict[str, Any]:
    payload: dict[str, Any] = msgspec.to_builtins(request)
    for private in ("stream", "stream_options", "user", "echo"):
        payload.pop(private, None)
    return payload


def _expect(model: Model, kind: ModelKind, operation: str) -> None:
    if model.kind is not kind:
        raise InvalidRequest(f"{model.name} is a model for {model.kind.value}, not for {operation}.", field="model")


def _check_tools(model: Model, request: ChatRequest) -> None:
    tools = request.tools or []
    if tools and request.tool_choice != "none" and "tools" not in model.capabilities:
        raise InvalidRequest(
            f"{model.name} cannot call tools. Leave `tools` out, or take another model.", field="tools"
        )
    _check_schema(tools, "tools")
    names = {tool.get("function", {}).get("name") for tool in tools if isinstance(tool.get("function"), dict)}
    if tools and (None in names or len(names) != len(tools)):
        raise InvalidRequest("Every tool needs a function with a name of its own.", field="tools")
    choice = request.tool_choice
    if isinstance(choice, dict):
        function = choice.get("function")
        wanted = function.get("name") if isinstance(function, dict) else None
        if wanted not in names:
            raise InvalidRequest(f"tool_choice names {wanted!r}, which is not among the tools.", field="tool_choice")
    elif choice not in (None, "none", "auto", "required") or (choice == "required" and not tools):
        raise InvalidRequest("tool_choice must be none, auto, required (with tools) or a tool.", field="tool_choice")
    if choice is not None and choice not in ("none", "auto") and "forced_tools" not in model.capabilities:
        raise InvalidRequest(
            f"{model.name} cannot be forced to call a tool. Use tool_choice auto, or a JSON schema as response_format.",
            field="tool_choice",
        )


def _check_text(text: str, field: str) -> None:
    """Refuse before anything is held what no database can keep."""
    if UNSTORABLE.search(text):
        raise InvalidRequest("The text has NUL characters or halves of surrogate pairs. Leave them out.", field=field)


def _check_format(response_format: dict[str, Any] | None) -> None:
    """Refuse here what a runtime might quietly ignore."""
    if response_format is None:
        return
    kind = response_format.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise InvalidRequest(
            "response_format needs a type: text, json_object or json_schema.", field="response_format.type"
        )
    described = response_format.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    if kind == "json_schema" and not isinstance(schema, dict):
        raise InvalidRequest(
            "response_format of type json_schema needs json_schema.schema, an object.",
            field="response_format.json_schema.schema",
        )
    _check_schema(schema, "response_format")


def _check_schema(schema: object, field: str) -> None:
    fault = fault_of(schema)
    if fault is not None:
        raise InvalidRequest(f"Nothing can keep to this JSON schema: {fault}. Correct the schema.", field=field)


def _output_limit(model: Model, asked: int | None, field: str) -> int:
    if asked is None:
        return min(model.max_output_tokens, model.context_length)
    if asked > model.context_length:
        raise ContextTooLong(
            f"{asked} tokens were asked for; {model.name} has a context of {model.context_length}.",
            field=field,
            details={"context_length": model.context_length},
        )
    return asked


def _worst(model: Model, input_bound: int, output: int, *, prompts: int = 1) -> dict[Meter, int]:
    return {
        Meter.INPUT_TOKEN: min(input_bound, model.context_length * prompts),
        Meter.OUTPUT_TOKEN: output,
    }


def _wants_usage(request: ChatRequest | CompletionRequest) -> bool:
    options = request.stream_options
    return options is not None and bool(options.include_usage)
