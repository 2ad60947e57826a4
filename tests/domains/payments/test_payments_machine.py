"""Whatever is lost, repeated or comes in another order: what Stripe received is credited exactly once, nothing else."""

import asyncio
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from shop import AUTHENTICATED, AUTHENTICATED_DECLINED, DECLINED, STARTER, VISA, Shop, open_shop
from sqlalchemy import select

from cloudyard.domains.ledger.models import accounts, transactions
from cloudyard.domains.payments import (
    NotRefundable,
    PaymentFailed,
    PaymentProviderUnavailable,
    RefundRefused,
    TooManyOpenPurchases,
    verify_payments,
)
from cloudyard.domains.payments.models import payment_refunds, payment_reversals
from cloudyard.foundation.database import Database
from cloudyard.testing.clock import ManualClock

CI = os.environ.get("CI") == "true"
BOUNDS = settings(max_examples=15, stateful_step_count=20, deadline=None, derandomize=CI)
CENTS = 1000
NANOS_PER_CENT = 10_000_000
DISPUTED = ["warning_needs_response", "needs_response", "won"]

picks = st.integers(0, 1000)
cards = st.sampled_from([VISA, VISA, DECLINED, AUTHENTICATED, AUTHENTICATED_DECLINED])
troubles = st.sets(st.sampled_from(["create", "confirm", "cancel", "retrieve", "refund", "refunds"]), max_size=2)


class PaymentsMachine(RuleBasedStateMachine):
    """One buyer at Stripe, over a bad line; events that come late, twice, or never."""

    def __init__(self, runner: asyncio.Runner, shop: Shop) -> None:
        super().__init__()
        self.runner = runner
        self.shop = shop
        self.user = self.run(shop.books.user())
        self.orders: list[tuple[str, str]] = []
        self.wishes: list[tuple[str, int | None, str]] = []
        self.disputes: dict[str, str] = {}
        self.spent = 0
        shop.sent.clear()
        shop.provider.created.clear()
        self.known = set(self.run(shop.rows()))
        self.clearing_before = self.balance("clearing:stripe")

    @rule(card=cards, lost=troubles, unanswered=troubles)
    def buy(self, card: str, lost: set[str], unanswered: set[str]) -> None:
        self.orders.append((self.shop.books.ids.new(), card))
        self.order(-1, lost, unanswered)

    @rule(which=picks, lost=troubles, unanswered=troubles)
    def buy_again_under_the_same_key(self, which: int, lost: set[str], unanswered: set[str]) -> None:
        if self.orders:
            self.order(which % len(self.orders), lost, unanswered)

    @rule(which=picks)
    def two_requests_with_one_key(self, which: int) -> None:
        async def both(key: str, card: str) -> list[Any]:
            order = self.shop.order(card)
            work = [self.shop.payments.purchase(self.user, order, key=key) for _ in range(2)]
            return await asyncio.gather(*work, return_exceptions=True)

        if self.orders:
            for outcome in self.run(both(*self.orders[which % len(self.orders)])):
                if isinstance(outcome, BaseException) and not isinstance(
                    outcome, PaymentFailed | PaymentProviderUnavailable
                ):
                    raise outcome

    @rule(which=picks, success=st.booleans())
    def authenticate(self, which: int, success: bool) -> None:
        waiting = [i for i in self.intents() if i["status"] == "requires_action"]
        if waiting:
            self.shop.authenticate(waiting[which % len(waiting)]["id"], success=success)

    @rule(which=picks)
    def stripe_tells_how_a_payment_stands(self, which: int) -> None:
        if intents := self.intents():
            intent = intents[which % len(intents)]
            self.run(self.shop.event(f"payment_intent.{intent['status']}", intent))

    @rule(which=picks)
    def stripe_repeats_an_event(self, which: int) -> None:
        if self.shop.sent:
            self.run(self.shop.resend(self.shop.sent[which % len(self.shop.sent)]))

    @rule(which=picks, cents=st.sampled_from([1, 333, 500, 1000]), told=st.booleans())
    def refund(self, which: int, cents: int, told: bool) -> None:
        paid = [i for i in self.intents() if i["status"] == "succeeded"]
        if not paid:
            return
        intent = paid[which % len(paid)]
        charge = intent["latest_charge"]
        if self.shop.stripe.get(f"/v1/charges/{charge['id']}").json()["amount_refunded"] + cents <= CENTS:
            event = self.shop.refund(intent["id"], cents) | {"payment_intent": intent["id"]}
            if told:
                self.run(self.shop.event("charge.refunded", event))

    @rule(which=picks, cents=st.sampled_from([None, 1, 333, 1000]), lost=troubles, unanswered=troubles)
    def an_administrator_refunds(self, which: int, cents: int | None, lost: set[str], unanswered: set[str]) -> None:
        completed = [row.id for row in self.payments() if row.state == "completed"]
        if completed:
            self.wishes.append((completed[which % len(completed)], cents, self.shop.books.ids.new()))
            self.ask_for_refund(-1, lost, unanswered)

    @rule(which=picks, lost=troubles, unanswered=troubles)
    def an_administrator_asks_again(self, which: int, lost: set[str], unanswered: set[str]) -> None:
        if self.wishes:
            self.ask_for_refund(which % len(self.wishes), lost, unanswered)

    @rule(which=picks, status=st.sampled_from(["warning_needs_response", "needs_response", "won"]), told=st.booleans())
    def dispute(self, which: int, status: str, told: bool) -> None:
        """Stripe's dispute goes forward only; its events come as they like."""
        paid = [i for i in self.intents() if i["status"] == "succeeded"]
        if not paid:
            return
        intent = paid[which % len(paid)]["id"]
        stands = max(self.disputes.get(intent, status), status, key=DISPUTED.index)
        self.disputes[intent] = stands
        about = self.shop.dispute(intent, stands)
        if told:
            self.run(self.shop.event("charge.dispute.updated", about | {"status": status}))

    @rule(share=st.integers(1, 4))
    def spend(self, share: int) -> None:
        free = self.balance(f"wallet:{self.user}")
        if nanos := free // share:
            self.run(self.shop.books.ledger.adjust(self.user, -nanos, reason="Spent", actor=None))
            self.spent += nanos

    @rule(seconds=st.sampled_from([60, 130, 4000, 90_000]), unanswered=troubles)
    def reconcile(self, seconds: int, unanswered: set[str]) -> None:
        self.shop.clock.advance(seconds)
        self.shop.provider.unanswered = unanswered
        self.run(self.shop.reconciler.run())
        self.run(self.shop.refunds.settle_due())
        self.run(self.shop.missed.run())
        self.shop.provider.unanswered = set()

    @invariant()
    def credits_are_what_the_completed_payments_bought(self) -> None:
        rows = self.payments()
        completed = [row for row in rows if row.state == "completed"]
        reversals = self.rows(select(payment_reversals).where(payment_reversals.c.payment_id.in_([r.id for r in rows])))
        taken = sum(row.taken_nanos for row in reversals if not row.returned)
        assert self.balance(f"wallet:{self.user}") == STARTER * len(completed) - self.spent - taken
        back = sum(row.cents for row in reversals if not row.returned)
        received = (CENTS * len(completed) - back) * NANOS_PER_CENT
        assert self.clearing_before - self.balance("clearing:stripe") == received
        keys = [f"payment:{row.id}" for row in rows]
        posted = self.rows(select(transactions.c.idempotency_key).where(transactions.c.idempotency_key.in_(keys)))
        assert {row.idempotency_key for row in posted} == {f"payment:{row.id}" for row in completed}
        assert len(rows) == len(self.orders)

    @invariant()
    def nothing_is_credited_that_stripe_did_not_receive(self) -> None:
        for row in self.payments():
            if row.state == "completed":
                assert self.shop.intent(row.provider_id)["status"] == "succeeded"

    def teardown(self) -> None:
        for _ in range(3):
            self.reconcile(90_000, set())
        received = {intent["id"] for intent in self.intents() if intent["status"] == "succeeded"}
        rows = self.payments()
        assert {row.provider_id for row in rows if row.state == "completed"} == received
        assert all(row.closed for row in rows)
        for body in list(self.shop.sent):
            before = self.balance(f"wallet:{self.user}")
            self.run(self.shop.resend(body))
            if json.loads(body)["type"].startswith("payment_intent."):
                assert self.balance(f"wallet:{self.user}") == before
        self.credits_are_what_the_completed_payments_bought()
        self.each_refund_was_made_once()
        self.what_went_back_is_what_stripe_says()
        assert self.run(self.shop.books.discrepancies()) == []
        assert self.run(self.discrepancies()) == []
        heard = self.run(self.shop.heard())
        assert heard.count("payment.completed") == heard.count("credit.purchased")
        completed = [e.payload["payment_id"] for e in self.shop.listener.heard if e.kind == "payment.completed"]
        assert len(completed) == len(set(completed))
        assert {row.id for row in rows if row.state == "completed"} <= set(completed)

    def ask_for_refund(self, which: int, lost: set[str], unanswered: set[str]) -> None:
        payment_id, cents, key = self.wishes[which]
        self.shop.provider.lost, self.shop.provider.unanswered = lost, unanswered
        wish = {"actor": "root", "reason": "Asked for", "cents": cents, "key": key}
        try:
            self.run(self.shop.refunds.refund(payment_id, **wish))
        except (NotRefundable, RefundRefused, PaymentProviderUnavailable):
            pass
        finally:
            self.shop.provider.lost, self.shop.provider.unanswered = set(), set()

    def each_refund_was_made_once(self) -> None:
        rows = [row for row in self.rows(select(payment_refunds)) if row.payment_id not in self.known]
        charges = {row.id: row.charge_id for row in self.payments()}
        for row in rows:
            query = {"charge": charges[row.payment_id], "limit": "100"}
            found = self.shop.stripe.get("/v1/refunds", params=query).json()["data"]
            made = [each for each in found if each["metadata"].get("cloudyard_refund") == row.id]
            assert (row.state, [each["amount"] for each in made]) in [("completed", [row.cents]), ("failed", [])]

    def what_went_back_is_what_stripe_says(self) -> None:
        for row in self.payments():
            if row.state != "completed":
                continue
            query = {"charge": row.charge_id, "limit": "100"}
            refunds = self.shop.stripe.get("/v1/refunds", params=query).json()["data"]
            went = {each["id"]: each["amount"] for each in refunds}
            if self.disputes.get(row.provider_id) == "needs_response":
                went[f"dp_{row.provider_id}"] = CENTS
            held = select(payment_reversals).where(payment_reversals.c.payment_id == row.id)
            assert {each.id: each.cents for each in self.rows(held) if not each.returned} == went

    async def discrepancies(self) -> list[Any]:
        async with self.shop.database.reading() as tx:
            return list(await tx.run_sync(verify_payments))

    def order(self, which: int, lost: set[str], unanswered: set[str]) -> None:
        key, card = self.orders[which]
        self.shop.provider.lost, self.shop.provider.unanswered = lost, unanswered
        try:
            self.run(self.shop.payments.purchase(self.user, self.shop.order(card), key=key))
        except (PaymentFailed, PaymentProviderUnavailable):
            pass
        except TooManyOpenPurchases:
            self.orders.pop(which)
        finally:
            self.shop.provider.lost, self.shop.provider.unanswered = set(), set()

    def intents(self) -> list[dict[str, Any]]:
        return [self.shop.intent(intent_id) for intent_id in self.shop.provider.created]

    def payments(self) -> list[Any]:
        return [row for key, row in self.run(self.shop.rows()).items() if key not in self.known]

    def balance(self, account: str) -> int:
        found = self.rows(select(accounts.c.balance_nanos).where(accounts.c.id == account))
        return int(found[0].balance_nanos) if found else 0

    def rows(self, query: Any) -> list[Any]:
        async def read() -> list[Any]:
            async with self.shop.database.reading() as tx:
                return await tx.all(query)

        return self.run(read())

    def run(self, work: Any) -> Any:
        return self.runner.run(work)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def test_any_order_of_confirmations(runner: asyncio.Runner, database_url: str, stripe_url: str) -> None:
    database = Database(database_url)
    shop = open_shop(database, ManualClock(), stripe_url)
    try:
        run_state_machine_as_test(lambda: PaymentsMachine(runner, shop), settings=BOUNDS)
    finally:
        shop.stripe.close()
        runner.run(shop.provider.close())
        runner.run(database.close())
