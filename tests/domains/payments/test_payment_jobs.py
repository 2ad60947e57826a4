"""Many unsettled payments and refunds, and a provider that is away: no run takes long, none is asked in vain."""

import asyncio

import pytest
from shop import AUTHENTICATED, Shop
from sqlalchemy import Connection, select

from cloudyard.domains.payments import PaymentProviderUnavailable
from cloudyard.domains.payments.jobs import BATCH
from cloudyard.domains.payments.models import payment_refunds
from cloudyard.domains.payments.refunds import BATCH as REFUNDS_BATCH
from cloudyard.domains.payments.side_by_side import AT_ONCE
from cloudyard.foundation.database import Database
from cloudyard.testing.sent_statements import sent_statements

MANY = BATCH + 5


async def waiting_payments(shop: Shop, count: int) -> None:
    """Payments of several buyers that wait for authentication, and are due."""
    for number in range(count):
        if number % 5 == 0:
            user = await shop.books.user()
        await shop.payments.purchase(user, shop.order(AUTHENTICATED))
    shop.clock.advance(130)
    shop.provider.asked.clear()


async def test_a_run_is_one_batch_and_the_next_one_the_rest(shop: Shop) -> None:
    await waiting_payments(shop, MANY)
    assert [await shop.reconciler.run() for _ in range(3)] == [BATCH, MANY - BATCH, 0]
    assert len(set(shop.provider.asked)) == len(shop.provider.asked) == MANY


async def test_a_provider_that_is_away_is_asked_about_a_few_and_the_others_come_first_later(shop: Shop) -> None:
    await waiting_payments(shop, BATCH)
    shop.provider.lost = {"retrieve"}
    first = await shop.reconciler.run()
    assert first == len(shop.provider.asked) <= AT_ONCE
    shop.provider.lost = set()
    assert await shop.reconciler.run() == BATCH - first
    assert len(set(shop.provider.asked)) == BATCH
    attempts = {row.provider_id: row.attempts for row in (await shop.rows()).values()}
    assert set(attempts.values()) == {1}


async def test_payments_are_asked_about_side_by_side(shop: Shop) -> None:
    """Each question waits until all of its round are asked: one after another, they would wait for ever."""
    await waiting_payments(shop, AT_ONCE)
    together = asyncio.Barrier(AT_ONCE)
    retrieve = shop.provider.retrieve

    async def retrieve_together(intent_id: str) -> object:
        await together.wait()
        return await retrieve(intent_id)

    shop.provider.retrieve = retrieve_together  # type: ignore[assignment, method-assign]
    async with asyncio.timeout(30):
        assert await shop.reconciler.run() == AT_ONCE


async def test_refunds_stop_as_well_and_are_gone_on_with(shop: Shop) -> None:
    count = REFUNDS_BATCH + 2
    shop.provider.lost = {"refund"}
    for _ in range(count):
        payment = (await shop.payments.purchase(await shop.books.user(), shop.order())).payment
        with pytest.raises(PaymentProviderUnavailable):
            await shop.refunds.refund(payment.id, actor="root", reason="Asked for")
    shop.clock.advance(130)
    assert await shop.refunds.settle_due() == REFUNDS_BATCH
    shop.provider.lost = set()
    shop.clock.advance(3700)
    assert [await shop.refunds.settle_due() for _ in range(3)] == [REFUNDS_BATCH, 2, 0]
    async with shop.database.reading() as tx:
        states = [row.state for row in await tx.all(select(payment_refunds.c.state))]
    assert states == ["completed"] * count


async def test_claims_walk_the_unsettled_alone(database: Database, shop: Shop) -> None:
    """The plans of both claims: an index of the rows that have not ended, however many have."""
    with sent_statements(database) as statements:
        await shop.reconciler.run()
        await shop.refunds.settle_due()
    claims = [(sql, values) for sql, values in statements if sql.startswith("SELECT") and "lease_until" in sql]
    explain = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"

    def plan(connection: Connection) -> list[str]:
        if database.dialect == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return [str(connection.exec_driver_sql(f"{explain} {sql}", values).all()) for sql, values in claims]

    async with database.transaction() as tx:
        payments_plan, refunds_plan = await tx.run_sync(plan)
    assert "ix_payments_due" in payments_plan
    assert "ix_payment_refunds_due" in refunds_plan
