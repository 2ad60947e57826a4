"""A call that sets to work before its hold is decided gives nothing out where the hold is refused."""

from collections.abc import Awaitable, Callable

import pytest
from charged_calls import GRANTED, LOCAL, REMOTE, ChargedCalls

from cloudyard.domains.inference import Answer
from cloudyard.domains.ledger import InsufficientCredits

Ask = Callable[[ChargedCalls, str], Awaitable[Answer | None]]
WAYS: dict[str, Ask] = {
    "whole": lambda calls, model: calls.answer(model),
    "streamed": lambda calls, model: calls.stream(model),
}


async def spend_everything(calls: ChargedCalls) -> None:
    """As another process would: what this one knows of the wallet is of before."""
    left = (await calls.services.ledger.wallet(calls.principal.user_id)).available
    await calls.services.ledger.adjust(calls.principal.user_id, -left, reason="Spent elsewhere", actor=None)


@pytest.mark.parametrize("model", [LOCAL, REMOTE])
@pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)
async def test_nothing_is_given_out_and_the_next_call_does_not_reach_the_model(
    calls: ChargedCalls, model: str, ask: Ask
) -> None:
    await ask(calls, model)
    await spend_everything(calls)
    asked_before = len(calls.upstream.calls)
    for _ in range(2):
        with pytest.raises(InsufficientCredits):
            await ask(calls, model)
    assert len(calls.upstream.calls) == asked_before + 1
    assert await calls.spent() == GRANTED
    assert len(await calls.usage()) == 1
