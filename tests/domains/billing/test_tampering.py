"""Whatever is changed behind the ledger's back, verification reports it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from cloudyard.domains.billing import Charge, Meter, Payer, Price, PriceLine, Usage, verify
from cloudyard.testing.factories import Books
from cloudyard.testing.tampering import spoil

CALL = Meter.CALL

UNBALANCED = "transaction: its postings do not sum to zero"
EMPTY = "transaction: it has no postings"
ORPHAN = "posting: its transaction or its account is missing"
MISNAMED = "account: its kind or owner is not its own"
BALANCE = "account: its balance is not the sum of its postings"
RUNNING = "posting: its running balance is wrong"
NEGATIVE = "account: it is below zero"
HELD = "account: it is not the sum of its open holds"
HOLD = "hold: its postings do not say the same"
NO_HOLD = "transaction: its hold is missing"
STATEMENT = "user: the statement does not add up to what the user owns"
NO_WALLET = "user: there is a statement, but no wallet"
LINE = "user: a line of the statement is not what was posted"
PLACE = "user: the place of a line in the statement is wrong"
TOTAL = "kind: its total is not that of its lines"
RATING = "usage: what was charged is not what its price version says"
RECORD = "usage: it does not belong to a captured hold of its user, its key and its transaction"
NO_RECORD = "hold: it was captured without a usage record"
BUDGET = "budget: it does not match the holds that count against it, or is beyond its cap"
NO_BUDGET = "budget: holds count against it, but it is missing"

USAGE_TRANSACTION = "(SELECT id FROM ledger_transactions WHERE idempotency_key = 'usage::captured')"
HOLD_TRANSACTION = "(SELECT id FROM ledger_transactions WHERE idempotency_key = 'hold::captured')"
FORGED = "INSERT INTO ledger_transactions (id, kind, idempotency_key, description, created_at) VALUES "
POSTED = "INSERT INTO ledger_postings (transaction_id, account_id, amount_nanos, balance_nanos) VALUES "
LINES = "UPDATE ledger_statement_lines SET"
AT = "'2026-01-01 00:00:00'"

DEEDS: dict[str, tuple[str, list[str]]] = {
    "a posting's amount": (
        UNBALANCED,
        [f"UPDATE ledger_postings SET amount_nanos = amount_nanos + 1 WHERE transaction_id = {USAGE_TRANSACTION}"],
    ),
    "a posting deleted": (
        UNBALANCED,
        [
            "DELETE FROM ledger_postings WHERE account_id = 'revenue:platform'",
            "UPDATE ledger_accounts SET balance_nanos = 0 WHERE id = 'revenue:platform'",
        ],
    ),
    "all postings of a transaction deleted": (
        EMPTY,
        [f"DELETE FROM ledger_postings WHERE transaction_id = {USAGE_TRANSACTION}"],
    ),
    "a transaction forged without postings": (EMPTY, [f"{FORGED} ('forged', 'bonus', 'forged', 'Forged', {AT})"]),
    "a transaction deleted": (ORPHAN, ["DELETE FROM ledger_transactions WHERE idempotency_key = 'hold::captured'"]),
    "an account deleted": (ORPHAN, ["DELETE FROM ledger_accounts WHERE id = 'wallet::other'"]),
    "an account's kind": (MISNAMED, ["UPDATE ledger_accounts SET kind = 'promotions' WHERE id = 'wallet::user'"]),
    "an account's owner": (MISNAMED, ["UPDATE ledger_accounts SET owner = ':other' WHERE id = 'held::user'"]),
    "a balance": (BALANCE, ["UPDATE ledger_accounts SET balance_nanos = balance_nanos + 1 WHERE id = 'wallet::user'"]),
    "the platform's balance": (
        BALANCE,
        ["UPDATE ledger_accounts SET balance_nanos = balance_nanos + 1 WHERE id = 'revenue:platform'"],
    ),
    "a running balance": (
        RUNNING,
        [
            "UPDATE ledger_postings SET balance_nanos = balance_nanos + 1 "
            "WHERE id = (SELECT min(id) FROM ledger_postings WHERE account_id = 'wallet::user')"
        ],
    ),
    "a wallet below zero": (NEGATIVE, ["UPDATE ledger_accounts SET balance_nanos = -1 WHERE id = 'wallet::other'"]),
    "an open hold's amount": (HELD, ["UPDATE ledger_holds SET amount_nanos = 51 WHERE id = ':open'"]),
    "an open hold of another user": (HELD, ["UPDATE ledger_holds SET user_id = ':other' WHERE id = ':open'"]),
    "an ended hold's amount": (HOLD, ["UPDATE ledger_holds SET amount_nanos = 91 WHERE id = ':captured'"]),
    "an ended hold of another user": (HOLD, ["UPDATE ledger_holds SET user_id = ':other' WHERE id = ':captured'"]),
    "what a hold captured": (HOLD, ["UPDATE ledger_holds SET captured_nanos = 39 WHERE id = ':captured'"]),
    "a captured hold said to be released": (
        HOLD,
        ["UPDATE ledger_holds SET state = 'released' WHERE id = ':captured'"],
    ),
    "a released hold said to be captured": (
        HOLD,
        ["UPDATE ledger_holds SET state = 'captured', captured_nanos = 30 WHERE id = ':released'"],
    ),
    "a released hold opened again": (HOLD, ["UPDATE ledger_holds SET state = 'open' WHERE id = ':released'"]),
    "an open hold said to be released": (HOLD, ["UPDATE ledger_holds SET state = 'released' WHERE id = ':open'"]),
    "a state that does not exist": (HOLD, ["UPDATE ledger_holds SET state = 'gone' WHERE id = ':released'"]),
    "a charge paid to someone else": (
        HOLD,
        [
            f"UPDATE ledger_postings SET account_id = 'clearing:manual' WHERE transaction_id = {USAGE_TRANSACTION} "
            "AND account_id = 'revenue:platform'"
        ],
    ),
    "a hold forged": (
        HOLD,
        [
            "INSERT INTO ledger_holds (id, user_id, amount_nanos, captured_nanos, state, expires_at, created_at) "
            f"VALUES ('forged', ':other', 50, 0, 'released', {AT}, {AT})"
        ],
    ),
    "a hold deleted": (NO_HOLD, ["DELETE FROM ledger_holds WHERE id = ':released'"]),
    "credit forged, balanced to the last nano": (
        STATEMENT,
        [
            f"{FORGED} ('forged', 'bonus', 'forged', 'Forged', {AT})",
            f"{POSTED} ('forged', 'promotions:platform', -500, -500), ('forged', 'wallet::other', 500, 550)",
            "UPDATE ledger_accounts SET balance_nanos = 550 WHERE id = 'wallet::other'",
            "INSERT INTO ledger_accounts (id, kind, owner, balance_nanos, statement_lines, updated_at) "
            f"VALUES ('promotions:platform', 'promotions', 'platform', -500, 0, {AT})",
        ],
    ),
    "a statement line deleted": (
        STATEMENT,
        ["DELETE FROM ledger_statement_lines WHERE user_id = ':user' AND number = 1"],
    ),
    "the last statement line deleted": (
        STATEMENT,
        ["DELETE FROM ledger_statement_lines WHERE user_id = ':user' AND number = 2"],
    ),
    "the number of statement lines": (
        STATEMENT,
        ["UPDATE ledger_accounts SET statement_lines = 3 WHERE id = 'wallet::user'"],
    ),
    "a gap in a statement": (STATEMENT, [f"{LINES} number = 3 WHERE user_id = ':user' AND number = 2"]),
    "a statement that begins at zero": (STATEMENT, [f"{LINES} number = 0 WHERE user_id = ':user' AND number = 1"]),
    "a statement of nobody": (NO_WALLET, [f"{LINES} user_id = 'nobody' WHERE user_id = ':other'"]),
    "lines that are wrong and add up": (
        LINE,
        [
            f"{LINES} amount_nanos = amount_nanos - 1, balance_nanos = balance_nanos - 1 "
            "WHERE user_id = ':user' AND number = 1",
            f"{LINES} amount_nanos = amount_nanos + 1 WHERE user_id = ':user' AND number = 2",
        ],
    ),
    "the balance in a line": (LINE, [f"{LINES} balance_nanos = 1 WHERE user_id = ':user' AND number = 1"]),
    "the kind of a line": (LINE, [f"{LINES} kind = 'bonus' WHERE user_id = ':user' AND number = 2"]),
    "the transaction of a line": (LINE, [f"{LINES} transaction_id = 'other' WHERE user_id = ':user' AND number = 2"]),
    "the place of a line": (PLACE, ["UPDATE ledger_statement_places SET number = 2 WHERE user_id = ':user'"]),
    "a place deleted": (PLACE, ["DELETE FROM ledger_statement_places WHERE user_id = ':user' AND series = 'others'"]),
    "a place of no line": (PLACE, ["INSERT INTO ledger_statement_places VALUES (':user', 'refund', 1, 2)"]),
    "a total": (TOTAL, ["UPDATE ledger_statement_totals SET amount_nanos = amount_nanos + 1"]),
    "a number of lines": (TOTAL, ["UPDATE ledger_statement_totals SET lines = 1"]),
    "a total deleted": (TOTAL, ["DELETE FROM ledger_statement_totals"]),
    "a total of nothing": (TOTAL, ["INSERT INTO ledger_statement_totals VALUES ('refund', 1, 1)"]),
    "what was used": (RATING, ["UPDATE usage_records SET quantities = '{\"call\": 5}'"]),
    "what was used, in words": (RATING, ['UPDATE usage_records SET quantities = \'{"call": "four"}\'']),
    "what was used, as a list": (RATING, ["UPDATE usage_records SET quantities = '[4]'"]),
    "a meter that does not exist": (RATING, ["UPDATE usage_records SET quantities = '{\"furlong\": 4}'"]),
    "what was charged": (RATING, ["UPDATE usage_records SET amount_nanos = 41"]),
    "a price": (
        RATING,
        ['UPDATE price_versions SET lines = \'[{"meter": "call", "nanos": 11, "per": 1}]\''],
    ),
    "a price that cannot be read": (RATING, ['UPDATE price_versions SET lines = \'[{"meter": "call"}]\'']),
    "a price deleted": (RATING, ["DELETE FROM price_versions"]),
    "a record of another user": (RECORD, ["UPDATE usage_records SET user_id = ':other'"]),
    "a record of another key": (RECORD, ["UPDATE usage_records SET api_key_id = 'other'"]),
    "a record of no key": (RECORD, ["UPDATE usage_records SET api_key_id = NULL"]),
    "a record of another transaction": (RECORD, [f"UPDATE usage_records SET transaction_id = {HOLD_TRANSACTION}"]),
    "a record of no transaction": (RECORD, ["UPDATE usage_records SET transaction_id = NULL"]),
    "a record of a released hold": (RECORD, ["UPDATE usage_records SET hold_id = ':released'"]),
    "a record of no hold": (RECORD, ["UPDATE usage_records SET hold_id = 'missing'"]),
    "a record deleted": (NO_RECORD, ["DELETE FROM usage_records"]),
    "what a key has spent": (BUDGET, ["UPDATE budgets SET spent_nanos = 39"]),
    "what a key holds": (BUDGET, ["UPDATE budgets SET held_nanos = 0"]),
    "a cap below what was spent": (BUDGET, ["UPDATE budgets SET cap_nanos = 89"]),
    "a budget nobody used": (BUDGET, ["INSERT INTO budgets VALUES ('unused', 100, 1, 0)"]),
    "a budget deleted": (NO_BUDGET, ["DELETE FROM budgets"]),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Sound books to spoil: of one user and key, a charge that was settled, one released and one open."""

    books: Books
    user: str
    other: str
    captured: Charge
    released: Charge
    open: Charge

    def filled(self, statement: str) -> str:
        """A statement with this scene's ids in the place of their names."""
        ids = {
            "user": self.user,
            "other": self.other,
            "captured": self.captured.hold_id,
            "released": self.released.hold_id,
            "open": self.open.hold_id,
        }
        return re.sub(":(" + "|".join(ids) + ")", lambda found: ids[found[1]], statement)


@pytest.fixture
async def scene(books: Books) -> Scene:
    user, other = await books.user(1000), await books.user(50)
    price: Price = await books.prices.publish("sku", [PriceLine(CALL, 10)])
    payer = Payer(user, "key", 500)
    captured = await books.open(user, price, {CALL: 9}, payer=payer)
    await books.charges.settle(captured, Usage({CALL: 4}))
    released = await books.open(user, price, {CALL: 3}, payer=payer)
    await books.charges.release(released, "Not served")
    return Scene(books, user, other, captured, released, await books.open(user, price, {CALL: 5}, payer=payer))


@pytest.mark.parametrize(("problem", "statements"), DEEDS.values(), ids=DEEDS)
async def test_it_is_reported(scene: Scene, database_url: str, problem: str, statements: list[str]) -> None:
    assert await scene.books.discrepancies() == []
    await spoil(database_url, [scene.filled(statement) for statement in statements])
    found = await scene.books.discrepancies()
    assert problem in {f"{one.subject.partition(':')[0]}: {one.problem}" for one in found}


async def test_what_is_reported_names_the_row_and_both_amounts(scene: Scene, database_url: str) -> None:
    deed = "UPDATE ledger_accounts SET balance_nanos = balance_nanos + 7 WHERE id = 'wallet::user'"
    await spoil(database_url, [scene.filled(deed)])
    (wrong,) = [one for one in await scene.books.discrepancies() if one.subject.startswith("account:")]
    assert wrong.subject == f"account:wallet:{scene.user}"
    assert dict(wrong.details) == {"balance": 917, "posted": 910}


def test_every_problem_that_verification_knows_has_its_deed() -> None:
    source = Path(__file__).parents[3] / "src" / "cloudyard" / "domains"
    files = [*source.glob("ledger/*verification.py"), source / "billing" / "verification.py"]
    code = "\n".join(file.read_text() for file in files)
    known = set(re.findall(r'Discrepancy\(\s*f"[^"]+",\s*"([^"]+)"', code))
    assert known == {problem.partition(": ")[2] for problem, _ in DEEDS.values()}


async def test_every_check_looks_rows_up_instead_of_reading_a_table_for_each_row(
    scene: Scene, database_url: str
) -> None:
    """SQLite's plans show it: a table scanned within a join makes the time grow with the square of the charges."""
    if not database_url.startswith("sqlite"):
        pytest.skip("PostgreSQL plans by the number of rows, so that a small database says nothing")
    plans: list[str] = []

    def explain(connection: Connection) -> None:
        def before(_connection: Connection, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if statement.lstrip().startswith("SELECT"):
                cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
                plans.extend(row[3] for row in cursor.fetchall())

        event.listen(connection, "before_cursor_execute", before)
        verify(connection)

    await scene.books.database.run(explain)
    assert len(plans) > 30
    assert [step for step in plans if step.startswith("SCAN") and "LEFT-JOIN" in step] == []
