"""Recomputing every charge from its usage record and price version, and every spend cap from both."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select, text

from cloudyard.domains.billing.models import budgets, price_versions, usage_records
from cloudyard.domains.billing.prices import Meter, Price, price_from_row
from cloudyard.domains.ledger import Discrepancy, EntryKind, HoldState, verify_ledger
from cloudyard.domains.ledger.models import holds, transactions

AT_ONCE = 1000


def verify(connection: Connection) -> list[Discrepancy]:
    """Everything in ledger and billing that does not add up; empty when all is right.

    To be run on one snapshot (`Database.reading`), since charges go on meanwhile. It may take its time.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    found = verify_ledger(connection)
    for check in (_wrong_amounts, _strange_records, _captures_without_record, _wrong_budgets, _missing_budgets):
        found.extend(check(connection))
    return found


def _wrong_amounts(connection: Connection) -> Iterator[Discrepancy]:
    """What was charged is what was consumed at the price of its version."""
    prices = {row.id: _readable_price(row) for row in connection.execute(select(price_versions))}
    query = select(usage_records, holds.c.captured_nanos).outerjoin(holds, holds.c.id == usage_records.c.hold_id)
    for row in connection.execute(query.execution_options(yield_per=AT_ONCE)):
        rated = _rated(prices.get(row.price_id), row.quantities)
        if not rated == row.amount_nanos == row.captured_nanos:
            yield Discrepancy(
                f"usage:{row.hold_id}",
                "what was charged is not what its price version says",
                {"charged": row.captured_nanos, "recorded": row.amount_nanos, "rated": rated},
            )


def _readable_price(row: Any) -> Price | None:
    try:
        return price_from_row(row)
    except (KeyError, TypeError, ValueError):
        return None


def _rated(price: Price | None, quantities: object) -> int | None:
    """The price of the quantities, or None where either cannot be read."""
    if price is None or not isinstance(quantities, Mapping):
        return None
    try:
        return price.amount({Meter(meter): quantity for meter, quantity in quantities.items()})
    except (TypeError, ValueError):
        return None


def _strange_records(connection: Connection) -> Iterator[Discrepancy]:
    """A usage record belongs to a captured hold of its own user and key, and names the transaction that charged it."""
    charged = transactions.c.idempotency_key == EntryKind.USAGE.value + ":" + usage_records.c.hold_id
    query = (
        select(usage_records.c.hold_id, holds.c.state)
        .outerjoin(holds, holds.c.id == usage_records.c.hold_id)
        .outerjoin(transactions, charged)
        .where(
            or_(
                holds.c.state.is_distinct_from(HoldState.CAPTURED.value),
                holds.c.user_id != usage_records.c.user_id,
                and_(holds.c.budget_id.is_not(None), usage_records.c.api_key_id.is_distinct_from(holds.c.budget_id)),
                usage_records.c.transaction_id.is_distinct_from(transactions.c.id),
            )
        )
    )
    for hold_id, state in connection.execute(query):
        yield Discrepancy(
            f"usage:{hold_id}",
            "it does not belong to a captured hold of its user, its key and its transaction",
            {"hold_state": state},
        )


def _captures_without_record(connection: Connection) -> Iterator[Discrepancy]:
    query = (
        select(holds.c.id)
        .outerjoin(usage_records, usage_records.c.hold_id == holds.c.id)
        .where(holds.c.state == HoldState.CAPTURED.value, usage_records.c.hold_id.is_(None))
    )
    for (hold_id,) in connection.execute(query):
        yield Discrepancy(f"hold:{hold_id}", "it was captured without a usage record")


def _wrong_budgets(connection: Connection) -> Iterator[Discrepancy]:
    is_open = holds.c.state == HoldState.OPEN.value
    counted = (
        select(
            holds.c.budget_id,
            func.sum(holds.c.captured_nanos).label("spent"),
            func.coalesce(func.sum(holds.c.amount_nanos).filter(is_open), 0).label("held"),
        )
        .group_by(holds.c.budget_id)
        .subquery("counted")
    )
    query = (
        select(budgets, counted.c.spent, counted.c.held)
        .outerjoin(counted, counted.c.budget_id == budgets.c.id)
        .where(
            or_(
                budgets.c.spent_nanos != func.coalesce(counted.c.spent, 0),
                budgets.c.held_nanos != func.coalesce(counted.c.held, 0),
                budgets.c.spent_nanos + budgets.c.held_nanos > budgets.c.cap_nanos,
            )
        )
    )
    for row in connection.execute(query):
        yield Discrepancy(
            f"budget:{row.id}",
            "it does not match the holds that count against it, or is beyond its cap",
            {
                "cap": row.cap_nanos,
                "spent": row.spent_nanos,
                "captured": int(row.spent or 0),
                "held": row.held_nanos,
                "open": int(row.held or 0),
            },
        )


def _missing_budgets(connection: Connection) -> Iterator[Discrepancy]:
    query = select(holds.c.budget_id).distinct().outerjoin(budgets, budgets.c.id == holds.c.budget_id)
    for (budget_id,) in connection.execute(query.where(holds.c.budget_id.is_not(None), budgets.c.id.is_(None))):
        yield Discrepancy(f"budget:{budget_id}", "holds count against it, but it is missing")
