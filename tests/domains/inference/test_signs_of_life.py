"""What llama.cpp tells while it reads a prompt is no part of an answer."""

import pytest
from charged_calls import ChargedCalls

from cloudyard.testing.upstream import PIECES, Behaviour


@pytest.mark.parametrize(
    ("choices", "reading_before"),
    [(1, [0]), (2, [0]), (2, [0, 1]), (2, [0, 2, 3])],
    ids=["one answer", "two answers", "two, read one after the other", "two, read in between"],
)
async def test_signs_of_life_are_left_out_of_a_stream(
    calls: ChargedCalls, choices: int, reading_before: list[int]
) -> None:
    calls.upstream.behave(Behaviour(reading_before=reading_before))
    chunks = [chunk async for chunk in calls.chunks(n=choices)]
    assert calls.upstream.calls[0].body["return_progress"]
    assert not any("prompt_progress" in chunk for chunk in chunks)
    said = [choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]]
    assert "".join(piece for piece in said if piece) == "".join(PIECES)
