"""The double-entry ledger: wallets, holds, postings."""

from cloudyard.domains.ledger.batch import LedgerBatch
from cloudyard.domains.ledger.errors import (
    AmountOutOfRange,
    HoldNotOpen,
    IdempotencyConflict,
    InsufficientCredits,
    UnbalancedEntry,
)
from cloudyard.domains.ledger.records import (
    Account,
    AccountKind,
    Discrepancy,
    Entry,
    EntryKind,
    HistoryEntry,
    HistoryFilter,
    Hold,
    HoldState,
    Line,
    Posted,
    Statement,
    Wallet,
    held_of,
    wallet_of,
)
from cloudyard.domains.ledger.service import Ledger
from cloudyard.domains.ledger.verification import verify_ledger

__all__ = [
    "Account",
    "AccountKind",
    "AmountOutOfRange",
    "Discrepancy",
    "Entry",
    "EntryKind",
    "HistoryEntry",
    "HistoryFilter",
    "Hold",
    "HoldNotOpen",
    "HoldState",
    "IdempotencyConflict",
    "InsufficientCredits",
    "Ledger",
    "LedgerBatch",
    "Line",
    "Posted",
    "Statement",
    "UnbalancedEntry",
    "Wallet",
    "held_of",
    "verify_ledger",
    "wallet_of",
]
