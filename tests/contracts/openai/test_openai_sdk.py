"""The unmodified `openai` package against a running server with real models: synchronous, asynchronous, streamed."""

import asyncio
from collections.abc import Callable
from typing import Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai_account import Account
from pydantic import BaseModel

MODEL = "smollm2-135m"
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


class Place(BaseModel):
    """What the structured answers must be."""

    continent: Literal["Europe", "Asia", "Africa"]
    capital: bool


def test_models(client: OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert {MODEL, "all-minilm-l6-v2", "gpt-4"} <= models.keys()
    assert client.models.retrieve("gpt-4").model_dump()["alias_of"] == MODEL
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-99")
    assert caught.value.code == "model_not_found"


def test_a_chat_completion(client: OpenAI, account: Account) -> None:
    before = account.wallet()["balance"]
    answer = client.chat.completions.create(model="gpt-4", messages=QUESTION, max_tokens=12, seed=1, temperature=0)
    assert answer.object == "chat.completion"
    assert answer.model == "gpt-4"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    usage = answer.usage
    assert usage is not None
    assert 0 < usage.completion_tokens <= 12
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    spent = before - account.wallet()["balance"]
    assert spent == pytest.approx(usage.model_dump()["cost"])
    assert spent > 0


def test_the_same_seed_gives_the_same_answer(client: OpenAI) -> None:
    answers = [
        client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=12, seed=5).choices[0].message.content
        for _ in range(2)
    ]
    assert answers[0] == answers[1]


def test_raw_responses_and_their_headers(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-4", messages=QUESTION, max_tokens=5, extra_headers={"X-Request-Id": "from-the-sdk"}
    )
    headers = raw.headers
    assert headers["x-request-id"] == "from-the-sdk"
    assert headers["x-cloudyard-model"] == MODEL
    assert int(headers["openai-processing-ms"]) > 0
    for unit in ("requests", "tokens"):
        assert int(headers[f"x-ratelimit-remaining-{unit}"]) <= int(headers[f"x-ratelimit-limit-{unit}"])
        assert headers[f"x-ratelimit-reset-{unit}"].endswith("s")
    completion = raw.parse()
    assert completion.choices[0].message.content
    assert completion._request_id == "from-the-sdk"


def test_a_stream(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=12, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text
    usage = chunks[-1].usage
    assert usage is not None
    assert chunks[-1].choices == []
    assert 0 < usage.completion_tokens <= 12
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]][-1] in ("stop", "length")


async def test_asynchronous_whole_and_streamed_at_once(async_client: AsyncOpenAI) -> None:
    async def streamed() -> str:
        stream = await async_client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=8, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def whole() -> str:
        answer = await async_client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=8)
        return answer.choices[0].message.content or ""

    answers = await asyncio.gather(*(streamed() for _ in range(3)), *(whole() for _ in range(3)))
    assert all(answers)


def test_the_stream_helper_of_the_sdk(client: OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=QUESTION, stop=["."]) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "content.delta" in kinds
    assert final.choices[0].message.content


def test_structured_answers(client: OpenAI) -> None:
    answer = client.chat.completions.parse(
        model=MODEL, messages=QUESTION, response_format=Place, max_tokens=60, temperature=0
    )
    assert isinstance(answer.choices[0].message.parsed, Place)


async def test_structured_answers_asynchronously(async_client: AsyncOpenAI) -> None:
    answer = await async_client.chat.completions.parse(
        model=MODEL, messages=QUESTION, response_format=Place, max_tokens=60, temperature=0
    )
    assert isinstance(answer.choices[0].message.parsed, Place)


def test_log_probabilities_and_several_answers(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=4, n=2, logprobs=True, top_logprobs=2, seed=3
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    first = answer.choices[0].logprobs
    assert first is not None
    assert first.content
    assert len(first.content[0].top_logprobs) == 2


def test_text_completions(client: OpenAI) -> None:
    whole = client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=8)
    assert whole.choices[0].text
    streamed = client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=8, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed)


def test_embeddings_in_both_encodings(client: OpenAI) -> None:
    texts = ["The cat sat on the mat.", "A kitten rested on the rug.", "Interest rates rose again."]
    packed = client.embeddings.create(model="all-minilm-l6-v2", input=texts)  # the SDK asks for base64
    plain = client.embeddings.create(model="all-minilm-l6-v2", input=texts, encoding_format="float")
    vectors = [item.embedding for item in packed.data]
    assert [len(vector) for vector in vectors] == [384] * 3
    for one, other in zip(vectors, (item.embedding for item in plain.data), strict=True):
        assert one == pytest.approx(other, abs=1e-6)

    def likeness(one: list[float], other: list[float]) -> float:
        return sum(x * y for x, y in zip(one, other, strict=True))

    assert likeness(vectors[0], vectors[1]) > likeness(vectors[0], vectors[2])
    assert packed.usage.prompt_tokens > 10


def test_errors_as_the_sdk_knows_them(client: OpenAI, account: Account, client_with: Callable[..., OpenAI]) -> None:
    def ask(who: OpenAI, **change: object) -> None:
        who.chat.completions.create(**{"model": MODEL, "messages": QUESTION, "max_tokens": 3, **change})

    with pytest.raises(openai.NotFoundError) as missing:
        ask(client, model="gpt-99")
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as wrong:
        ask(client, temperature=9)
    assert (wrong.value.code, wrong.value.param, wrong.value.type) == (
        "invalid_value",
        "temperature",
        "invalid_request_error",
    )
    with pytest.raises(openai.BadRequestError) as long:
        ask(client, max_tokens=10**6)
    assert long.value.code == "context_length_exceeded"
    assert long.value.request_id
    with pytest.raises(openai.PermissionDeniedError):
        ask(client_with(allowed_models=["all-minilm-l6-v2"]))
    with pytest.raises(openai.APIStatusError) as capped:
        ask(client_with(spend_cap=0))
    assert (capped.value.status_code, capped.value.type) == (402, "insufficient_quota")
    limited = client_with(requests_per_minute=1)
    ask(limited)
    with pytest.raises(openai.RateLimitError) as often:
        ask(limited)
    assert often.value.code == "rate_limit_exceeded"
    assert int(often.value.response.headers["retry-after"]) > 0
    with (
        OpenAI(base_url=account.base_url, api_key="sk-nobody", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError) as unknown,
    ):
        ask(stranger)
    assert unknown.value.code == "invalid_api_key"


def test_a_stream_that_is_closed_early_is_charged_for_what_came(client: OpenAI, account: Account) -> None:
    before = account.wallet()
    with client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Write a very long story."}], max_tokens=1000, stream=True
    ) as stream:
        for _, _chunk in zip(range(5), stream, strict=False):
            pass
    after = account.wallet()
    while after["held"]:
        after = account.wallet()
    whole = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=100, temperature=0)
    assert whole.usage is not None
    a_token = whole.usage.model_dump()["cost"] / whole.usage.total_tokens
    assert 0 < before["balance"] - after["balance"] < 300 * a_token


def test_idempotency_keys(client: OpenAI) -> None:
    keyed = {"Idempotency-Key": "sdk-1"}
    answers = [
        client.chat.completions.create(
            model=MODEL, messages=QUESTION, max_tokens=8, temperature=1.5, extra_headers=keyed
        )
        for _ in range(2)
    ]
    assert answers[0] == answers[1]
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=9, extra_headers=keyed)


def test_files(client: OpenAI) -> None:
    content = b'{"messages": []}\n' * 1000
    made = client.files.create(file=("train.jsonl", content), purpose="fine-tune")
    assert (made.bytes, made.filename, made.purpose, made.status) == (
        len(content),
        "train.jsonl",
        "fine-tune",
        "processed",
    )
    more = [client.files.create(file=(f"{n}.txt", b"x"), purpose="user_data") for n in range(3)]
    listed = list(client.files.list(limit=2, order="asc"))  # the SDK turns the pages
    assert [file.id for file in listed] == [made.id, *(file.id for file in more)]
    assert client.files.retrieve(made.id) == made
    assert client.files.wait_for_processing(made.id) == made
    assert client.files.content(made.id).read() == content
    for file in listed:
        assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)
