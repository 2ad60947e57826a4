"""What a call may cost at worst, and what is refused before anything is set aside for it."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from catalogue_models import a_model
from charged_calls import LOCAL, ChargedCalls

from cloudyard.domains.billing import Meter
from cloudyard.domains.inference import (
    CallContext,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    InvalidRequest,
    Message,
    ModelKind,
)
from cloudyard.domains.inference.preparation import Request, prepare

ARGUMENTS = '{"city": "' + "Paris" * 200 + '"}'
USER: dict[str, Any] = {"role": "user", "content": "And there?"}
UNSTORABLE = pytest.mark.parametrize("bad", ["\x00", "\ud800", "\udfff", "half \udc80 of a pair"], ids=ascii)


def chat(*messages: dict[str, Any]) -> ChatRequest:
    return ChatRequest(model=LOCAL, messages=msgspec.convert([*messages, USER], list[Message]))


def tool_call(*, arguments: str = "{}", name: str = "weather", id: str = "call_1") -> dict[str, Any]:
    call = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "tool_calls": [call]}


def held_for(request: Request) -> int:
    return prepare(a_model(), request).worst[Meter.INPUT_TOKEN]


@pytest.mark.parametrize(
    ("plain", "longer", "by"),
    [
        (tool_call(), tool_call(arguments=ARGUMENTS), len(ARGUMENTS) - 2),
        (tool_call(), tool_call(name="weather" * 9), 56),
        (tool_call(), tool_call(id="call_1" * 50), 294),
        (USER, {**USER, "name": "n" * 300}, 302),
        ({"role": "tool", "content": "rain"}, {"role": "tool", "content": "rain", "tool_call_id": "i" * 99}, 101),
        ({"role": "assistant", "content": "ok"}, {**tool_call(arguments=ARGUMENTS), "content": "ok"}, len(ARGUMENTS)),
    ],
)
def test_all_that_a_model_reads_is_held_for(plain: dict[str, Any], longer: dict[str, Any], by: int) -> None:
    assert held_for(chat(longer)) - held_for(chat(plain)) >= by


def test_a_call_holds_for_every_tool_call_of_every_message() -> None:
    one, three = (held_for(chat(*[tool_call(arguments=ARGUMENTS)] * count)) for count in (1, 3))
    assert three - one >= 2 * len(ARGUMENTS)


PLACES: list[Callable[[str], Request]] = [
    lambda bad: chat({"role": "user", "content": bad}),
    lambda bad: chat({"role": "user", "content": [{"type": "text", "text": "x" + bad}]}),
    lambda bad: chat({"role": "user", "content": "x", "name": bad}),
    lambda bad: chat({"role": "tool", "content": "x", "tool_call_id": bad}),
    lambda bad: chat(tool_call(arguments=bad)),
    lambda bad: chat(tool_call(name=bad)),
    lambda bad: chat(tool_call(id=bad)),
    lambda bad: CompletionRequest(model=LOCAL, prompt=bad),
    lambda bad: CompletionRequest(model=LOCAL, prompt=["x", bad]),
]


@UNSTORABLE
@pytest.mark.parametrize("place", PLACES)
def test_text_that_no_database_keeps_is_refused_wherever_it_is(place: Callable[[str], Request], bad: str) -> None:
    with pytest.raises(InvalidRequest, match="NUL characters or halves of surrogate pairs"):
        prepare(a_model(), place(bad))


async def test_such_text_is_refused_before_anything_is_held(calls: ChargedCalls) -> None:
    context = CallContext("test", "request")
    for place in PLACES:
        with pytest.raises(InvalidRequest, match="NUL"):
            await calls.generation.answer(calls.principal, place("\x00"), context)
        with pytest.raises(InvalidRequest, match="NUL"):
            async with calls.generation.stream(calls.principal, place("\ud800"), context):
                pass
    assert await calls.holds_made() == 0
    assert calls.upstream.calls == []


@UNSTORABLE
@pytest.mark.parametrize("many", [False, True])
def test_such_text_is_no_input_of_an_embedding(bad: str, many: bool) -> None:
    with pytest.raises(InvalidRequest, match="NUL"):
        prepare(a_model(ModelKind.EMBEDDING), EmbeddingRequest(model="m", input=["x", bad] if many else bad))


def test_other_rare_characters_are_taken() -> None:
    assert held_for(chat({"role": "user", "content": "\x01\x7f\ufffe\U0001f600"})) > 0
