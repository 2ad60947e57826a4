"""The balances that a batch works on: read and locked once, changed in memory, written once."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from cloudyard.domains.ledger import statements
from cloudyard.domains.ledger.errors import AmountOutOfRange, InsufficientCredits
from cloudyard.domains.ledger.models import accounts
from cloudyard.domains.ledger.records import NEVER_NEGATIVE, Account, AccountKind, held_of, wallet_of
from cloudyard.foundation.database.upsert import insert_or_ignore

LARGEST_NANOS = 2**63 - 1
"""What a column holds: nine billion dollars."""

_OF_A_USER = (AccountKind.WALLET, AccountKind.HELD)


@dataclass(slots=True)
class Balance:
    """An account's balance as it stands in this batch."""

    id: str
    never_negative: bool
    nanos: int
    lines: int
    changed: bool = False

    def require(self, amount: int) -> None:
        """Refuse a move that the balance cannot bear. Raises `InsufficientCredits` or `AmountOutOfRange`."""
        after = self.nanos + amount
        if after < 0 and self.never_negative:
            raise InsufficientCredits(
                "Not enough credits for this. Add credits, or ask for less.",
                details={"available_nanos": self.nanos, "needed_nanos": -amount},
            )
        if abs(after) > LARGEST_NANOS:
            raise AmountOutOfRange("The amount is larger than an account can hold. Use a smaller one.", field="amount")

    def add(self, amount: int) -> None:
        """Move."""
        self.nanos += amount
        self.changed = True

    def next_line(self) -> int:
        """Number of the next line in the owner's statement."""
        self.lines += 1
        self.changed = True
        return self.lines


@dataclass(frozen=True, slots=True)
class Purse:
    """What a user has: free, and set aside."""

    wallet: Balance
    held: Balance


class Balances:
    """Loads balances, gives them out to be changed, and writes the changed ones."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._loaded: dict[str, Balance] = {}
        self._purses: dict[str, Purse] = {}

    def load(self, owned: Iterable[Account], users: Iterable[str]) -> None:
        """Read and lock accounts, and both accounts of every user concerned, unless they are loaded; what does not
        exist is created."""
        wanted = {account.id: account for account in owned}
        owners = {account.owner for account in wanted.values() if account.kind in _OF_A_USER}
        for user_id in owners.union(users):
            for account in (wallet_of(user_id), held_of(user_id)):
                wanted[account.id] = account
        self._read(wanted.keys() - self._loaded.keys(), wanted)
        missing = wanted.keys() - self._loaded.keys()
        if missing:
            created = {key: wanted[key] for key in sorted(missing)}
            self._create(created.values())
            self._read(created.keys(), created)

    def of(self, account_id: str) -> Balance:
        """A loaded balance."""
        return self._loaded[account_id]

    def purse(self, user_id: str) -> Purse:
        """Both balances of a user."""
        purse = self._purses.get(user_id)
        if purse is None:
            purse = Purse(self._loaded[wallet_of(user_id).id], self._loaded[held_of(user_id).id])
            self._purses[user_id] = purse
        return purse

    def flush(self) -> None:
        """Write what changed."""
        changed = [(b.nanos, b.lines, self._now, b.id) for b in self._loaded.values() if b.changed]
        statements.SET_BALANCES.run(self._connection, changed)

    def _read(self, keys: Collection[str], wanted: Mapping[str, Account]) -> None:
        if not keys:
            return
        for key, nanos, lines in statements.READ_BALANCES.run(self._connection, keys):
            self._loaded[key] = Balance(key, wanted[key].kind in NEVER_NEGATIVE, nanos, lines)

    def _create(self, new: Iterable[Account]) -> None:
        rows = [
            {
                "id": account.id,
                "kind": account.kind.value,
                "owner": account.owner,
                "balance_nanos": 0,
                "statement_lines": 0,
                "updated_at": self._now,
            }
            for account in new
        ]
        self._connection.execute(insert_or_ignore(self._connection.dialect.name, accounts), rows)
