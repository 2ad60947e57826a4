"""Spend caps: what an API key has spent and holds, against what it may."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from cloudyard.domains.billing.errors import SpendCapReached
from cloudyard.domains.billing.models import budgets
from cloudyard.domains.ledger import Hold
from cloudyard.foundation.database.prepared import KeyedRead, PreparedUpdate
from cloudyard.foundation.database.upsert import insert_or_ignore

_READ = KeyedRead(
    select(budgets.c.id, budgets.c.cap_nanos, budgets.c.spent_nanos, budgets.c.held_nanos)
    .order_by(budgets.c.id)
    .with_for_update(),
    budgets.c.id,
)

_SET = PreparedUpdate(budgets, ("spent_nanos", "held_nanos"))


@dataclass(slots=True)
class Budget:
    """A spend cap as it stands in this batch. The cap is the one that its first charge named."""

    cap: int
    spent: int
    held: int
    changed: bool = False

    def require(self, amount: int) -> None:
        """Refuse what would go beyond the cap. Raises `SpendCapReached`."""
        if self.spent + self.held + amount > self.cap:
            raise SpendCapReached(
                "This API key has reached its spend cap. Raise the cap with a new key, or use another key.",
                details={"cap_nanos": self.cap, "spent_nanos": self.spent, "held_nanos": self.held},
            )

    def hold(self, amount: int) -> None:
        """Count an open hold."""
        self.held += amount
        self.changed = True

    def end(self, hold: Hold) -> None:
        """Count an ended hold: what it captured was spent."""
        self.held -= hold.amount
        self.spent += hold.captured
        self.changed = True


class Budgets:
    """Loads spend caps, gives them out to be changed, and writes the changed ones."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._loaded: dict[str, Budget] = {}

    def load(self, caps: Mapping[str, int], others: set[str]) -> None:
        """Read and lock the budgets with these caps, made where they are new, and others that exist, unless they are
        loaded."""
        self._read((caps.keys() | others) - self._loaded.keys())
        missing = sorted(caps.keys() - self._loaded.keys())
        if missing:
            rows = [{"id": key, "cap_nanos": caps[key], "spent_nanos": 0, "held_nanos": 0} for key in missing]
            self._connection.execute(insert_or_ignore(self._connection.dialect.name, budgets), rows)
            self._read(set(missing))

    def of(self, budget_id: str | None) -> Budget | None:
        """A loaded budget."""
        return self._loaded.get(budget_id) if budget_id is not None else None

    def flush(self) -> None:
        """Write what changed."""
        changed = [(budget.spent, budget.held, key) for key, budget in self._loaded.items() if budget.changed]
        _SET.run(self._connection, changed)

    def _read(self, keys: set[str]) -> None:
        if not keys:
            return
        for key, cap, spent, held in _READ.run(self._connection, keys):
            self._loaded[key] = Budget(cap, spent, held)
