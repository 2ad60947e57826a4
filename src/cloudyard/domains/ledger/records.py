"""What the ledger takes and gives. All amounts are nano-dollars."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class AccountKind(StrEnum):
    """The kinds of account."""

    WALLET = "wallet"
    HELD = "held"
    OPERATOR_EARNINGS = "operator_earnings"
    REVENUE = "revenue"
    PROMOTIONS = "promotions"
    CLEARING = "clearing"


NEVER_NEGATIVE = frozenset({AccountKind.WALLET, AccountKind.HELD, AccountKind.OPERATOR_EARNINGS})


class EntryKind(StrEnum):
    """Why money moved."""

    BONUS = "bonus"
    ADJUSTMENT = "adjustment"
    PURCHASE = "purchase"
    REFUND = "refund"
    HOLD = "hold"
    USAGE = "usage"
    RELEASE = "release"


class HoldState(StrEnum):
    """The life of a hold; only `open` can change."""

    OPEN = "open"
    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Account:
    """Names an account: its kind and whose it is (a user id, or the name of an outside source)."""

    kind: AccountKind
    owner: str = "platform"

    @property
    def id(self) -> str:
        """The row's key."""
        return f"{self.kind}:{self.owner}"


def wallet_of(user_id: str) -> Account:
    """The account of a user's free credit."""
    return Account(AccountKind.WALLET, user_id)


def held_of(user_id: str) -> Account:
    """The account of what a user has set aside."""
    return Account(AccountKind.HELD, user_id)


REVENUE = Account(AccountKind.REVENUE)
PROMOTIONS = Account(AccountKind.PROMOTIONS)
MANUAL = Account(AccountKind.CLEARING, "manual")


@dataclass(frozen=True, slots=True)
class Line:
    """One signed line of an entry."""

    account: Account
    amount: int


@dataclass(frozen=True, slots=True)
class Statement:
    """How an entry shows in a user's history: the net change of what the user owns."""

    user_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A transaction to be posted. Its lines sum to zero."""

    kind: EntryKind
    idempotency_key: str
    lines: tuple[Line, ...]
    description: str
    statement: Statement | None = None
    actor: str | None = None
    details: Mapping[str, object] | None = None

    def moves(self) -> dict[str, int]:
        """What each account gains or loses, by its id; accounts that end as they began are left out."""
        net: dict[str, int] = {}
        for line in self.lines:
            net[line.account.id] = net.get(line.account.id, 0) + line.amount
        return {account_id: amount for account_id, amount in net.items() if amount}


@dataclass(frozen=True, slots=True)
class Posted:
    """A transaction that is in the ledger. `repeated` means that it was there before."""

    id: str
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """Credit set aside. `budget_id` names the spend cap that it counts against."""

    id: str
    user_id: str
    amount: int
    expires_at: datetime
    state: HoldState = HoldState.OPEN
    captured: int = 0
    budget_id: str | None = None


@dataclass(frozen=True, slots=True)
class Wallet:
    """A user's credit: free to spend, set aside, and earned as an operator."""

    user_id: str
    available: int
    held: int
    earnings: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A line of a user's history. `balance` is what the user owned afterwards, held credit included."""

    id: str
    kind: EntryKind
    amount: int
    balance: int
    description: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which lines of a history are wanted, and in which order. Those of a period are posted from `since` on and before
    `until`."""

    kind: EntryKind | None = None
    since: datetime | None = None
    until: datetime | None = None
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """Something that does not add up."""

    subject: str
    problem: str
    details: Mapping[str, object] = field(default_factory=dict)
