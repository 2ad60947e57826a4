"""A call that sets to work before its hold is decided gives nothing out where the hold is refused."""

from collections.abc import Awaitable, Callable

import pytest
from charged_calls import GRANTED, LOCAL, REMOTE, ChargedCalls

from cloudyard.domains.ledger import InsufficientCredits
from cloudyard.foundation.database import DatabaseUnavailable
from cloudyard.testing.failing_commits import no_commits

Ask = Callable[[ChargedCalls, str, list[object]], Awaitable[None]]


async def whole(calls: ChargedCalls, model: str, given_out: list[object]) -> None:
    given_out.append(await calls.answer(model))


async def streamed(calls: ChargedCalls, model: str, given_out: list[object]) -> None:
    async for chunk in calls.chunks(model):
        given_out.append(chunk)


WAYS: dict[str, Ask] = {"whole": whole, "streamed": streamed}
every_way = pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)
every_model = pytest.mark.parametrize("model", [LOCAL, REMOTE])


async def spend_everything(calls: ChargedCalls) -> None:
    """As another process would: what this one knows of the wallet is of before."""
    left = (await calls.services.ledger.wallet(calls.principal.user_id)).available
    await calls.services.ledger.adjust(calls.principal.user_id, -left, reason="Spent elsewhere", actor=None)


@every_model
@every_way
async def test_nothing_is_given_out_and_the_next_call_does_not_reach_the_model(
    calls: ChargedCalls, model: str, ask: Ask
) -> None:
    given_out: list[object] = []
    await ask(calls, model, given_out)
    assert given_out
    given_out.clear()
    await spend_everything(calls)
    asked_before = len(calls.upstream.calls)
    for _ in range(2):
        with pytest.raises(InsufficientCredits):
            await ask(calls, model, given_out)
    assert given_out == []
    assert len(calls.upstream.calls) == asked_before + 1
    assert await calls.spent() == GRANTED
    assert len(await calls.usage()) == 1


@every_model
@every_way
async def test_nothing_is_given_out_whose_hold_is_not_on_disk(calls: ChargedCalls, model: str, ask: Ask) -> None:
    given_out: list[object] = []
    await ask(calls, model, given_out)
    spent = await calls.spent()
    given_out.clear()
    asked_before = len(calls.upstream.calls)
    with no_commits():
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                await ask(calls, model, given_out)
    assert given_out == []
    assert await calls.spent() == spent
    assert len(calls.upstream.calls) - asked_before <= 2
