"""Entries that come again under the key of one that is in the ledger already."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from cloudyard.domains.ledger import statements
from cloudyard.domains.ledger.errors import IdempotencyConflict
from cloudyard.domains.ledger.records import Entry, Posted


@dataclass(frozen=True, slots=True)
class _Known:
    transaction_id: str
    kind: str
    moves: Mapping[str, int]


class Repetitions:
    """Knows the entries that were posted under the keys of a batch."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def load(self, connection: Connection, keys: Iterable[str]) -> None:
        """Look keys up in the ledger."""
        moves: dict[str, dict[str, int]] = {}
        for key, transaction_id, kind, account_id, nanos in statements.READ_POSTED.run(connection, keys):
            known = moves.setdefault(key, {})
            known[account_id] = int(nanos)
            self._known[key] = _Known(transaction_id, kind, known)

    def find(self, entry: Entry) -> Posted | None:
        """The first transaction under the entry's key. Raises `IdempotencyConflict` if it moved something else."""
        known = self._known.get(entry.idempotency_key)
        if known is None:
            return None
        if known.kind != entry.kind or known.moves != entry.moves():
            raise IdempotencyConflict(
                f"The key {entry.idempotency_key} belongs to another transaction. Use a new key for a new one."
            )
        return Posted(known.transaction_id, repeated=True)

    def remember(self, entry: Entry, transaction_id: str) -> Posted:
        """Take note of an entry that was just posted."""
        self._known[entry.idempotency_key] = _Known(transaction_id, entry.kind.value, entry.moves())
        return Posted(transaction_id)
