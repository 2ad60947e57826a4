"""Whatever is changed in payments or behind the ledger's back, verification names it."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from shop import Shop
from sqlalchemy import select

from cloudyard.domains.ledger import Discrepancy
from cloudyard.domains.payments import verify_payments
from cloudyard.domains.payments.models import payment_reversals
from cloudyard.testing.tampering import spoil

PURCHASE = "payment: the ledger does not say the same of the purchase"
STRAY_PURCHASE = "transaction: it credits a purchase that nobody made"
REVERSAL = "reversal: the ledger does not say the same of the refund or dispute"
STRAY_REVERSAL = "transaction: it reverses what was never reversed"
TOO_MUCH = "payment: more was refunded than was paid"

AT = "'2026-01-01 00:00:00'"
FORGED = "INSERT INTO ledger_transactions (id, kind, idempotency_key, description, created_at) VALUES"
POSTED = "INSERT INTO ledger_postings (transaction_id, account_id, amount_nanos, balance_nanos) VALUES"
BOUGHT = "(SELECT id FROM ledger_transactions WHERE idempotency_key = 'payment::paid')"
TAKEN = "(SELECT id FROM ledger_transactions WHERE idempotency_key = 'reversal::refund')"
POSTINGS = "ledger_postings SET amount_nanos = amount_nanos"

DEEDS: dict[str, tuple[str, list[str]]] = {
    "what was bought": (PURCHASE, ["UPDATE payments SET value_nanos = value_nanos + 1 WHERE id = ':paid'"]),
    "what was paid": (PURCHASE, ["UPDATE payments SET cents = cents + 1 WHERE id = ':paid'"]),
    "who bought": (PURCHASE, ["UPDATE payments SET user_id = 'other' WHERE id = ':paid'"]),
    "a posting to the wallet": (
        PURCHASE,
        [f"UPDATE {POSTINGS} + 1 WHERE transaction_id = {BOUGHT} AND account_id LIKE 'wallet:%'"],
    ),
    "a posting to the clearing account": (
        PURCHASE,
        [f"UPDATE {POSTINGS} - 1 WHERE transaction_id = {BOUGHT} AND account_id = 'clearing:stripe'"],
    ),
    "a completed payment without transaction": (
        PURCHASE,
        ["DELETE FROM ledger_transactions WHERE idempotency_key = 'payment::paid'"],
    ),
    "a completed payment that names none": (PURCHASE, ["UPDATE payments SET transaction_id = NULL WHERE id = ':paid'"]),
    "a completed payment that names another": (
        PURCHASE,
        [f"UPDATE payments SET transaction_id = {TAKEN} WHERE id = ':paid'"],
    ),
    "a purchase of another kind": (
        PURCHASE,
        ["UPDATE ledger_transactions SET kind = 'bonus' WHERE idempotency_key = 'payment::paid'"],
    ),
    "a credited payment said to have failed": (PURCHASE, ["UPDATE payments SET state = 'failed' WHERE id = ':paid'"]),
    "a failed payment said to be completed": (
        PURCHASE,
        ["UPDATE payments SET state = 'completed' WHERE id = ':failed'"],
    ),
    "a failed payment credited": (PURCHASE, [f"{FORGED} ('forged', 'purchase', 'payment::failed', 'Forged', {AT})"]),
    "a failed payment that names a transaction": (
        PURCHASE,
        [f"UPDATE payments SET transaction_id = {TAKEN} WHERE id = ':failed'"],
    ),
    "a purchase of nobody": (
        STRAY_PURCHASE,
        [
            f"{FORGED} ('forged', 'purchase', 'payment:forged', 'Forged', {AT})",
            f"{POSTED} ('forged', 'clearing:stripe', -5, -5), ('forged', 'wallet::user', 5, 5)",
        ],
    ),
    "a second purchase under another key": (
        STRAY_PURCHASE,
        [f"{FORGED} ('forged', 'purchase', 'again:payment::paid', 'Forged', {AT})"],
    ),
    "a payment deleted": (STRAY_PURCHASE, ["DELETE FROM payments WHERE id = ':paid'"]),
    "what was taken back": (
        REVERSAL,
        ["UPDATE payment_reversals SET taken_nanos = taken_nanos - 1 WHERE id = ':refund'"],
    ),
    "what was refunded": (REVERSAL, ["UPDATE payment_reversals SET cents = cents - 1 WHERE id = ':refund'"]),
    "a refund of another payment": (
        REVERSAL,
        [
            "UPDATE payments SET user_id = 'other' WHERE id = ':failed'",
            "UPDATE payment_reversals SET payment_id = ':failed' WHERE id = ':refund'",
        ],
    ),
    "a posting of a refund": (
        REVERSAL,
        [f"UPDATE {POSTINGS} - 1 WHERE transaction_id = {TAKEN} AND account_id LIKE 'wallet:%'"],
    ),
    "a refund without transaction": (
        REVERSAL,
        ["DELETE FROM ledger_transactions WHERE idempotency_key = 'reversal::refund'"],
    ),
    "a refund that is said to have failed": (
        REVERSAL,
        ["UPDATE payment_reversals SET returned = true WHERE id = ':refund'"],
    ),
    "a won dispute that is said to hold": (
        REVERSAL,
        ["UPDATE payment_reversals SET returned = false WHERE id = ':dispute'"],
    ),
    "a won dispute that gave nothing back": (
        REVERSAL,
        ["DELETE FROM ledger_transactions WHERE idempotency_key = 'reversal::dispute:returned'"],
    ),
    "a refund forged": (
        REVERSAL,
        [
            "INSERT INTO payment_reversals "
            "(id, payment_id, kind, cents, taken_nanos, uncovered_nanos, returned, created_at) "
            f"VALUES ('forged', ':paid', 'refund', 100, 5, 0, false, {AT})"
        ],
    ),
    "a refund's row deleted": (STRAY_REVERSAL, ["DELETE FROM payment_reversals WHERE id = ':refund'"]),
    "a won dispute's row deleted": (STRAY_REVERSAL, ["DELETE FROM payment_reversals WHERE id = ':dispute'"]),
    "a refund under another key": (
        STRAY_REVERSAL,
        [f"{FORGED} ('forged', 'refund', 'again:reversal::refund', 'Forged', {AT})"],
    ),
    "more refunded than paid": (
        TOO_MUCH,
        [
            "INSERT INTO payment_reversals "
            "(id, payment_id, kind, cents, taken_nanos, uncovered_nanos, returned, created_at) "
            f"VALUES ('forged', ':paid', 'refund', 601, 0, 0, false, {AT})"
        ],
    ),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Sound rows to spoil: a payment that was refunded in part and disputed in vain, and one that failed."""

    shop: Shop
    names: dict[str, str]

    def filled(self, statement: str) -> str:
        """A statement with this scene's ids in the place of their names."""
        return re.sub(":(" + "|".join(self.names) + ")", lambda found: self.names[found[1]], statement)


async def discrepancies(shop: Shop) -> list[Discrepancy]:
    async with shop.database.reading() as tx:
        return list(await tx.run_sync(verify_payments))


@pytest.fixture
async def scene(shop: Shop) -> Scene:
    user = await shop.books.user()
    paid = (await shop.payments.purchase(user, shop.order())).payment
    assert paid.provider_id is not None
    await shop.event("charge.refunded", shop.refund(paid.provider_id, 400))
    about = {"id": f"dp_{paid.id}", "amount": 100, "payment_intent": paid.provider_id}
    await shop.event("charge.dispute.created", about | {"status": "needs_response"})
    await shop.event("charge.dispute.closed", about | {"status": "won"})
    late = {"id": f"dp_late_{paid.id}", "amount": 100, "payment_intent": paid.provider_id, "status": "won"}
    await shop.event("charge.dispute.closed", late)
    with pytest.raises(Exception, match="nothing was charged"):
        await shop.payments.purchase(user, shop.order("pm_card_chargeCustomerFail"))
    failed = next(row.id for row in (await shop.rows()).values() if row.state == "failed")
    async with shop.database.reading() as tx:
        refund = await tx.scalar(select(payment_reversals.c.id).where(payment_reversals.c.kind == "refund"))
    names = {"user": user, "paid": paid.id, "failed": failed, "refund": refund, "dispute": f"dp_{paid.id}"}
    return Scene(shop, names)


async def test_sound_rows_agree_with_the_ledger(scene: Scene) -> None:
    assert await discrepancies(scene.shop) == []
    assert await scene.shop.books.discrepancies() == []


@pytest.mark.parametrize(("problem", "statements"), DEEDS.values(), ids=DEEDS)
async def test_it_is_reported(scene: Scene, database_url: str, problem: str, statements: list[str]) -> None:
    await spoil(database_url, [scene.filled(statement) for statement in statements])
    found = await discrepancies(scene.shop)
    assert problem in {f"{one.subject.partition(':')[0]}: {one.problem}" for one in found}


def test_every_problem_that_verification_knows_has_its_deed() -> None:
    source = Path(__file__).parents[3] / "src" / "cloudyard" / "domains" / "payments" / "verification.py"
    known = set(re.findall(r'Discrepancy\(\s*f"[^"]+",\s*"([^"]+)"', source.read_text()))
    assert known == {problem.partition(": ")[2] for problem, _ in DEEDS.values()}
