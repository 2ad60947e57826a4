"""The Responses API through the unmodified `openai` package, with a real model."""

from typing import Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

MODEL = "smollm2-135m"


class Mood(BaseModel):
    """What the structured answer must be."""

    mood: Literal["glad", "sad"]


def test_a_response_and_its_continuation(client: OpenAI) -> None:
    first = client.responses.create(
        model=MODEL, input="My name is Ada.", instructions="Answer in one sentence.", max_output_tokens=20
    )
    assert first.output_text
    assert first.status in ("completed", "incomplete")
    assert first.usage is not None
    second = client.responses.create(
        model=MODEL, input="What is my name?", previous_response_id=first.id, max_output_tokens=20
    )
    assert second.previous_response_id == first.id
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens
    kept = client.responses.retrieve(second.id)
    assert kept.output_text == second.output_text
    client.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(second.id)


def test_a_list_of_messages_and_no_storage(client: OpenAI) -> None:
    response = client.responses.create(
        model=MODEL,
        input=[
            {"role": "user", "content": "Say hello."},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": [{"type": "input_text", "text": "Once more."}]},
        ],
        max_output_tokens=8,
        store=False,
    )
    assert response.output_text
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


def test_events_in_their_order(client: OpenAI) -> None:
    events = list(client.responses.create(model=MODEL, input="Count to three.", max_output_tokens=10, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:-1] == ["response.output_text.done", "response.content_part.done", "response.output_item.done"]
    assert kinds[-1] in ("response.completed", "response.incomplete")
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete")
    assert last.response.output_text == text


def test_the_stream_helper_of_the_sdk(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="Glad or sad?", text_format=Mood, temperature=0) as stream:
        for _event in stream:
            pass
        final = stream.get_final_response()
    assert isinstance(final.output_parsed, Mood)


async def test_structured_answers_asynchronously(async_client: AsyncOpenAI) -> None:
    response = await async_client.responses.parse(model=MODEL, input="Glad or sad?", text_format=Mood, temperature=0)
    assert isinstance(response.output_parsed, Mood)
    assert response.text is not None


def test_raw_responses(client: OpenAI) -> None:
    raw = client.responses.with_raw_response.create(model=MODEL, input="Hello", max_output_tokens=4)
    assert raw.headers["x-cloudyard-model"] == MODEL
    assert raw.parse().id.startswith("resp_")


def test_what_is_not_done_here_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as background:
        client.responses.create(model=MODEL, input="Hello", background=True)
    assert background.value.param == "background"
    with pytest.raises(openai.BadRequestError) as search:
        client.responses.create(model=MODEL, input="Hello", tools=[{"type": "web_search"}])
    assert search.value.param == "tools.0.type"


def test_a_schema_that_the_model_cannot_follow_is_named_as_the_request_does(client: OpenAI) -> None:
    schema: dict[str, object] = {"type": "wibble"}
    with pytest.raises(openai.BadRequestError) as response:
        client.responses.create(
            model=MODEL, input="Hello.", text={"format": {"type": "json_schema", "name": "x", "schema": schema}}
        )
    with pytest.raises(openai.BadRequestError) as chat:
        client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Hello."}],
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        )
    assert (response.value.param, chat.value.param) == ("text.format", "response_format")
    assert "unrecognized type wibble" in chat.value.message
