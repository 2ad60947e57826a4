"""Log probabilities of text completions, in the form that their endpoint has had since before chat."""

import copy
from typing import Any

import pytest
from catalogue_models import a_model

from cloudyard.domains.inference import ChatRequest, CompletionRequest, Message, ProviderUnavailable
from cloudyard.domains.inference.legacy_logprobs import LegacyLogprobs
from cloudyard.domains.inference.preparation import prepare

LEGACY = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{"a": -0.5}], "text_offset": [7]}


def token(text: str, logprob: float, *likeliest: tuple[str, float]) -> dict[str, Any]:
    top = [{"token": other, "logprob": value, "bytes": None, "id": 1} for other, value in likeliest]
    return {"id": 3, "token": text, "bytes": list(text.encode()), "logprob": logprob, "top_logprobs": top}


def choice(text: str, *tokens: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"index": index, "text": text, "finish_reason": None, "logprobs": {"content": list(tokens)}}


def translated(most: int, *bodies: list[dict[str, Any]]) -> list[Any]:
    logprobs = LegacyLogprobs(most)
    for choices in bodies:
        logprobs.translate({"choices": choices})
    return [choice["logprobs"] for choices in bodies for choice in choices]


def test_a_whole_choice() -> None:
    tokens = [token("Hé", -0.1, ("Hé", -0.1), ("Ha", -2.0)), token("llo", -3.0, ("y", -0.2), ("llo", -3.0))]
    assert translated(2, [choice("Héllo", *tokens)]) == [
        {
            "tokens": ["Hé", "llo"],
            "token_logprobs": [-0.1, -3.0],
            "top_logprobs": [{"Hé": -0.1, "Ha": -2.0}, {"y": -0.2, "llo": -3.0}],
            "text_offset": [0, 2],
        }
    ]


@pytest.mark.parametrize(
    ("most", "told"),
    [(0, {"z": -4.0}), (1, {"a": -0.1, "z": -4.0}), (2, {"a": -0.1, "b": -0.2, "z": -4.0})],
)
def test_the_token_that_was_taken_comes_on_top_of_the_likeliest(most: int, told: dict[str, float]) -> None:
    [logprobs] = translated(most, [choice("z", token("z", -4.0, ("a", -0.1), ("b", -0.2)))])
    assert logprobs["top_logprobs"] == [told]


def test_offsets_go_on_from_piece_to_piece_of_each_choice() -> None:
    pieces = translated(
        1,
        [choice("Once", token("Once", -1.0))],
        [choice("Two", token("Two", -1.0), index=1)],
        [choice(" upon", token(" up", -1.0), token("on", -1.0))],
        [choice("", index=0)],
        [choice("x", token("x", -1.0), index=1), choice("y", token("y", -1.0))],
    )
    assert [piece["text_offset"] for piece in pieces] == [[0], [0], [4, 7], [], [3], [9]]


@pytest.mark.parametrize("told", [None, LEGACY, {"content": None}, {"content": None, "tokens": None}])
def test_what_is_none_and_what_is_legacy_already_are_left_alone(told: Any) -> None:
    body = {"index": 0, "text": "a", "logprobs": copy.deepcopy(told)}
    assert translated(1, [body]) == [told]


@pytest.mark.parametrize(
    "content", [[{}], ["a"], [{"token": "a"}], [{"token": 1, "logprob": 0}], [token("a", -1.0), 3]]
)
def test_log_probabilities_of_no_sense_are_the_providers_fault(content: list[Any]) -> None:
    with pytest.raises(ProviderUnavailable, match="log probabilities cannot be used"):
        translated(1, [{"index": 0, "text": "a", "logprobs": {"content": content}}])


def test_only_text_completions_that_ask_for_them_are_translated() -> None:
    message = [Message(role="user", content="Hello")]
    asked = CompletionRequest(model="m", prompt="Hello", logprobs=0)
    chat = ChatRequest(model="m", messages=message, logprobs=True, top_logprobs=2)
    plain = CompletionRequest(model="m", prompt="Hello")
    of = [LegacyLogprobs.of(prepare(a_model(), request)) for request in (asked, chat, plain)]
    assert [found is not None for found in of] == [True, False, False]
