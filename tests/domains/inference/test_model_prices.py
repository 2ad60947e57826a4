"""Which prices of models are taken, and what a price by call costs."""

import pytest
from charged_calls import LOCAL, NANOS_PER_TOKEN, REMOTE, ChargedCalls

from cloudyard.domains.billing import Meter, PriceLine
from cloudyard.domains.inference import ContextTooLong, ProviderUnavailable, check_model_prices
from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.settings.billing import PriceSettings
from cloudyard.testing.upstream import Behaviour

A_CALL = 7 * NANOS_PER_TOKEN
MODELS = pytest.mark.parametrize("model", [LOCAL, REMOTE])
WAYS = pytest.mark.parametrize("streamed", [False, True])


async def sell_by_call(calls: ChargedCalls, *more: PriceLine) -> None:
    for model in (LOCAL, REMOTE):
        await calls.services.prices.publish(f"model:{model}", [PriceLine(Meter.CALL, A_CALL), *more])


async def ask(calls: ChargedCalls, model: str, *, streamed: bool, n: int | None = None) -> None:
    await (calls.stream(model, n=n) if streamed else calls.answer(model, n=n))


@pytest.mark.parametrize("meter", ["second", "gb_hour", "token"])
def test_a_price_by_what_no_call_is_counted_in_is_refused(meter: str) -> None:
    good = [PriceSettings(meter="call", usd="0.01"), PriceSettings(meter="output_token", usd="0.01")]
    with pytest.raises(InvalidInput, match=rf"model:mine.* by {meter}, .*never be charged\. Use input_token"):
        check_model_prices({"model:mine": [*good, PriceSettings(meter=meter, usd="0.01")]})
    check_model_prices({"model:mine": good, "job:gpu": [PriceSettings(meter=meter, usd="0.01")]})


async def test_an_installation_with_such_a_price_does_not_start(calls: ChargedCalls) -> None:
    calls.services.settings.billing.prices[f"model:{LOCAL}"] = [PriceSettings(meter="second", usd="0.01")]
    with pytest.raises(InvalidInput, match="second"):
        await calls.services.load()


@MODELS
@WAYS
@pytest.mark.parametrize("n", [1, 2])
async def test_a_call_is_paid_for_once(calls: ChargedCalls, model: str, streamed: bool, n: int) -> None:
    await sell_by_call(calls)
    await ask(calls, model, streamed=streamed, n=n)
    assert await calls.spent() == A_CALL
    await ask(calls, model, streamed=streamed, n=n)
    assert await calls.spent() == 2 * A_CALL


@WAYS
async def test_a_call_is_paid_for_beside_its_tokens(calls: ChargedCalls, streamed: bool) -> None:
    await sell_by_call(calls, PriceLine(Meter.OUTPUT_TOKEN, NANOS_PER_TOKEN))
    await ask(calls, REMOTE, streamed=streamed)
    [record] = await calls.usage()
    assert record.quantities["call"] == 1
    assert await calls.spent() == A_CALL + record.quantities["output_token"] * NANOS_PER_TOKEN


@MODELS
@WAYS
async def test_a_call_that_failed_is_not_paid_for(calls: ChargedCalls, model: str, streamed: bool) -> None:
    await sell_by_call(calls)
    calls.upstream.behave(Behaviour(status=500))
    with pytest.raises(ProviderUnavailable):
        await ask(calls, model, streamed=streamed)
    assert await calls.spent() == 0
    assert await calls.usage() == []


@MODELS
@WAYS
async def test_a_call_that_is_refused_is_not_paid_for(calls: ChargedCalls, model: str, streamed: bool) -> None:
    await sell_by_call(calls)
    with pytest.raises(ContextTooLong):
        await (calls.stream(model, max_tokens=5000) if streamed else calls.answer(model, max_tokens=5000))
    assert await calls.spent() == 0
    assert calls.upstream.calls == []
