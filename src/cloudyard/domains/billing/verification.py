"""Recomputing every charge from its usage record and price version, and every spend cap from both."""

from collections.abc import Iterator

from sqlalchemy import Connection, and_, func, select

from cloudyard.domains.billing.models import budgets, price_versions, usage_records
from cloudyard.domains.billing.prices import Meter, Price, price_from_row
from cloudyard.domains.ledger import Discrepancy, HoldState, verify_ledger
from cloudyard.domains.ledger.models import holds

AT_ONCE = 1000


def verify(connection: Connection) -> list[Discrepancy]:
    """Everything in ledger and billing that does not add up; empty when all is right."""
    found = verify_ledger(connection)
    for check in (_wrong_amounts, _captures_without_record, _wrong_budgets):
        found.extend(check(connection))
    return found


def _wrong_amounts(connection: Connection) -> Iterator[Discrepancy]:
    prices: dict[str, Price] = {row.id: price_from_row(row) for row in connection.execute(select(price_versions))}
    query = select(usage_records, holds.c.captured_nanos, holds.c.state.label("hold_state")).join(
        holds, holds.c.id == usage_records.c.hold_id
    )
    for row in connection.execution_options(yield_per=AT_ONCE).execute(query):
        quantities = {Meter(meter): quantity for meter, quantity in row.quantities.items()}
        rated = prices[row.price_id].amount(quantities)
        if rated != row.amount_nanos or row.captured_nanos != row.amount_nanos:
            yield Discrepancy(
                f"usage:{row.id}",
                "what was charged is not what its price version says",
                {"charged": row.captured_nanos, "recorded": row.amount_nanos, "rated": rated},
            )
        if row.hold_state != HoldState.CAPTURED.value:
            yield Discrepancy(f"usage:{row.id}", "its hold was not captured", {"hold_state": row.hold_state})


def _captures_without_record(connection: Connection) -> Iterator[Discrepancy]:
    query = (
        select(holds.c.id)
        .outerjoin(usage_records, usage_records.c.hold_id == holds.c.id)
        .where(holds.c.state == HoldState.CAPTURED.value, usage_records.c.id.is_(None))
    )
    for (hold_id,) in connection.execute(query):
        yield Discrepancy(f"hold:{hold_id}", "it was captured without a usage record")


def _wrong_budgets(connection: Connection) -> Iterator[Discrepancy]:
    spent = func.coalesce(func.sum(holds.c.captured_nanos), 0)
    rows = connection.execute(
        select(budgets, spent.label("spent")).outerjoin(holds, holds.c.budget_id == budgets.c.id).group_by(*budgets.c)
    ).all()
    open_hold = and_(holds.c.budget_id == budgets.c.id, holds.c.state == HoldState.OPEN.value)
    held = func.coalesce(func.sum(holds.c.amount_nanos), 0)
    open_now = dict(
        connection.execute(select(budgets.c.id, held).outerjoin(holds, open_hold).group_by(budgets.c.id)).tuples().all()
    )
    for row in rows:
        if row.spent_nanos != row.spent or row.held_nanos != open_now[row.id]:
            yield Discrepancy(
                f"budget:{row.id}",
                "it does not match the holds that count against it",
                {
                    "spent": row.spent_nanos,
                    "captured": int(row.spent),
                    "held": row.held_nanos,
                    "open": int(open_now[row.id]),
                },
            )
