"""What is kept of an answer for repetitions by its idempotency key, and what is told of one that broke off."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from cloudyard.domains.billing import UsageOutcome
from cloudyard.domains.inference import Answer, ChatRequest, Message, ProviderUnavailable, TokenUsage
from cloudyard.foundation.database import DatabaseUnavailable
from cloudyard.foundation.durable import StoredAnswer
from cloudyard.foundation.errors import DomainError
from cloudyard.surfaces.openai.keeping import Keeping
from cloudyard.surfaces.openai.views import CompletionView
from cloudyard.testing.broken_streams import check_withheld

BODY: Mapping[str, Any] = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "As far as"}}]}


class Store:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.kept: list[StoredAnswer] = []

    def __call__(self, answer: StoredAnswer) -> Any:
        self.kept.append(answer)
        return _write


def _write(connection: Connection) -> None:
    return None


def answer(outcome: UsageOutcome) -> Answer:
    return Answer(BODY, "parrot", "upstream", TokenUsage(1, 2), 3, 3, outcome)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def keeping(store: Store) -> Keeping:
    request = ChatRequest(model="parrot", messages=[Message(role="user", content="Where?")])
    return Keeping(CompletionView(request), store)


def test_a_whole_answer_is_kept_as_it_goes_out(keeping: Keeping, store: Store) -> None:
    assert keeping.whole(answer(UsageOutcome.COMPLETED)) == (_write,)
    [kept] = store.kept
    assert (kept.status, msgspec.json.decode(kept.body)) == (200, BODY)


def test_an_answer_whose_caller_left_is_never_given_out_as_a_whole_one(keeping: Keeping, store: Store) -> None:
    assert keeping.whole(answer(UsageOutcome.CLIENT_LEFT)) == (_write,)
    [kept] = store.kept
    error = msgspec.json.decode(kept.body)["error"]
    assert (kept.status, error["code"], error["type"]) == (502, "stream_interrupted", "server_error")
    assert "cut short because the caller left; what had been generated was charged" in error["message"]


@pytest.mark.parametrize("failure", [ProviderUnavailable, DatabaseUnavailable])
async def test_what_is_for_operators_is_logged_once_and_not_told(keeping: Keeping, failure: type[DomainError]) -> None:
    await check_withheld(failure, keeping.events)
