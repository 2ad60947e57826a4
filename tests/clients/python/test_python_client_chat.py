"""Models and chat completions, with a real model."""

from decimal import Decimal
from typing import Any

import pytest
from client_people import Connect, Person
from smartaihub import InsufficientCreditsError, NotFoundError, ValidationError
from twins import Client, done, everything, following, inside

from cloudyard.domains.ledger import Wallet
from cloudyard.testing.installation import Installation
from cloudyard.testing.waiting import eventually

WELCOME = 1000
MODEL = "smollm2-135m"
HELLO: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Hello, how are you?"}],
    "max_tokens": 16,
    "temperature": 0.7,
}
LONG: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "Write a very long story."}],
    "max_tokens": 900,
}


async def test_models_have_prices(anns: Client) -> None:
    models = {model.id: model for model in await done(anns.models.list())}
    assert models[MODEL].pricing.input_tokens == Decimal("0.00000015")
    assert "text" in models[MODEL].capabilities


async def test_a_completion_is_made_and_charged(anns: Client) -> None:
    before = (await done(anns.credits.balance())).balance
    answer = await done(anns.chat.completions.create(**HELLO))
    assert answer.model == MODEL
    assert answer.text == answer.choices[0].message.content != ""
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.cost > 0
    assert (await done(anns.credits.balance())).balance == before - answer.cost * 100


async def test_a_repeated_key_gets_the_same_answer(anns: Client) -> None:
    first = await done(anns.chat.completions.create(**HELLO, idempotency_key="chat-1"))
    after = (await done(anns.credits.balance())).balance
    assert await done(anns.chat.completions.create(**HELLO, idempotency_key="chat-1")) == first
    assert (await done(anns.credits.balance())).balance == after


async def test_an_answer_is_streamed(anns: Client) -> None:
    before = (await done(anns.credits.balance())).balance
    async with inside(anns.chat.completions.stream(**HELLO)) as stream:
        chunks = await everything(stream)
    assert len(chunks) > 2
    assert "".join(chunk.text for chunk in chunks) == stream.text != ""
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert stream.finish_reason in ("stop", "length")
    assert stream.usage.completion_tokens > 0
    assert (await done(anns.credits.balance())).balance == before - stream.cost * 100


async def test_leaving_a_stream_stops_the_model(anns: Client, ann: Person, cloud: Installation) -> None:
    async with inside(anns.chat.completions.stream(**LONG)) as stream:
        await following(stream)
    charged = await settled(cloud, ann)
    assert 0 < charged < 900 * 600


async def settled(cloud: Installation, person: Person) -> int:
    """The nano-dollars that were charged, once nothing is held any more."""

    async def wallet() -> Wallet:
        found: Wallet = cloud.run(cloud.services.ledger.wallet(person.id))
        return found

    settled = await eventually(wallet, lambda wallet: not wallet.held)
    return cloud.services.credit_rate.nanos(Decimal(WELCOME)) - settled.available


@pytest.mark.parametrize("streams", [False, True])
async def test_what_cannot_be_asked_is_told(anns: Client, streams: bool) -> None:
    with pytest.raises(NotFoundError):
        await ask(anns, streams, {**HELLO, "model": "no-such-model"})
    with pytest.raises(ValidationError) as refused:
        await ask(anns, streams, {**HELLO, "temperature": 3})
    assert refused.value.fields.keys() == {"temperature"}


@pytest.mark.parametrize("streams", [False, True])
async def test_who_cannot_pay_is_told(anns: Client, ann: Person, cloud: Installation, streams: bool) -> None:
    ledger = cloud.services.ledger
    available = cloud.run(ledger.wallet(ann.id)).available
    cloud.run(ledger.adjust(ann.id, 1 - available, reason="emptied", actor=None))
    with pytest.raises(InsufficientCreditsError):
        await ask(anns, streams, HELLO)


@pytest.mark.parametrize("streams", [False, True])
async def test_an_access_token_that_ran_out_is_renewed_first(connect: Connect, ann: Person, streams: bool) -> None:
    client = await connect(tokens=ann.tokens.model_copy(update={"access_token": "stale"}))
    assert await ask(client, streams, HELLO)


async def ask(client: Client, streams: bool, question: dict[str, Any]) -> str:
    """The text of a whole or a streamed answer."""
    if not streams:
        text: str = (await done(client.chat.completions.create(**question))).text
        return text
    async with inside(client.chat.completions.stream(**question)) as stream:
        streamed: str = await done(stream.read())
        return streamed
