"""A caller who leaves while the database cannot be written to: what was generated is charged later, and once."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from charged_calls import NANOS_PER_TOKEN, ChargedCalls

from cloudyard.domains.billing.batch import Write
from cloudyard.domains.inference import Answer
from cloudyard.foundation.durable import StoredAnswer
from cloudyard.foundation.durable.idempotency import KeyClaim
from cloudyard.testing.upstream import Behaviour
from cloudyard.testing.waiting import until
from cloudyard.web.idempotency import once

SLOW = Behaviour(pieces=["word "] * 90, pause=0.05)


async def test_a_repetition_with_the_same_key_is_not_charged_again(calls: ChargedCalls, tmp_path: Path) -> None:
    keys, charges = calls.services.idempotency, calls.services.charges

    async def produce(claim: KeyClaim) -> None:
        def also(answer: Answer) -> tuple[Write, ...]:
            return (keys.completion(claim, StoredAnswer(200, {}, answer.outcome.value.encode())),)

        await calls.answer(also=also)

    calls.upstream.behave(SLOW, Behaviour())
    asking = asyncio.create_task(once(keys, "me", "key", "body", produce))
    call = await calls.upstream.next_call()
    await until(lambda: call.pieces_sent >= 3)
    with closing(sqlite3.connect(tmp_path / "cloudyard.db", isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN EXCLUSIVE")
        asking.cancel()
        await asyncio.wait([asking])
        other.execute("ROLLBACK")
    assert asking.cancelled()
    assert charges.running == 1
    await until(lambda: charges.running == 0)
    spent = await calls.spent()
    assert spent // NANOS_PER_TOKEN > 0
    repeated = await once(keys, "me", "key", "body", produce)
    assert repeated is not None and repeated.body == b"client_left"
    assert (await calls.spent(), len(calls.upstream.calls)) == (spent, 1)
