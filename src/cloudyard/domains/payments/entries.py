"""The ledger entries of payments.

What the provider received or took back stands on its clearing account, to the cent. Where credits are sold below their
value, promotions pay the difference; where above it, the difference is revenue.
"""

from cloudyard.domains.ledger import Account, AccountKind, Entry, EntryKind, Line, Statement, wallet_of
from cloudyard.domains.ledger.records import PROMOTIONS, REVENUE
from cloudyard.domains.payments.records import NANOS_PER_CENT, Payment, ReversalKind

CLEARING = Account(AccountKind.CLEARING, "stripe")
BOUGHT = "Credit purchase"
TAKEN = {ReversalKind.REFUND: "Purchase refunded", ReversalKind.DISPUTE: "Purchase disputed"}
RETURNED = {ReversalKind.REFUND: "Refund failed, credits given back", ReversalKind.DISPUTE: "Dispute won, credits back"}


def accounts_of(user_id: str) -> tuple[Account, ...]:
    """Every account that an entry of a payment may touch."""
    return (CLEARING, PROMOTIONS, REVENUE, wallet_of(user_id))


def purchase(payment: Payment) -> Entry:
    """The credits of a payment that was received."""
    lines = _lines(payment.user_id, payment.value, payment.cents * NANOS_PER_CENT, uncovered=0)
    return Entry(EntryKind.PURCHASE, f"payment:{payment.id}", lines, BOUGHT, Statement(payment.user_id, payment.value))


def taking(payment: Payment, reversal_id: str, kind: ReversalKind, cents: int, taken: int, uncovered: int) -> Entry:
    """Money went back: `taken` comes out of the wallet, `uncovered` is what the wallet no longer had."""
    lines = _lines(payment.user_id, -taken, -cents * NANOS_PER_CENT, uncovered=-uncovered)
    statement = Statement(payment.user_id, -taken) if taken else None
    return Entry(EntryKind.REFUND, f"reversal:{reversal_id}", lines, TAKEN[kind], statement)


def giving_back(
    payment: Payment, reversal_id: str, kind: ReversalKind, cents: int, taken: int, uncovered: int
) -> Entry:
    """The money came back after all: the opposite of the taking."""
    lines = _lines(payment.user_id, taken, cents * NANOS_PER_CENT, uncovered=uncovered)
    statement = Statement(payment.user_id, taken) if taken else None
    return Entry(EntryKind.REFUND, f"reversal:{reversal_id}:returned", lines, RETURNED[kind], statement)


def _lines(user_id: str, wallet: int, received: int, *, uncovered: int) -> tuple[Line, ...]:
    """`received` came in for `wallet` and what is `uncovered` (all negative where it went out)."""
    difference = wallet + uncovered - received
    below_value = (difference > 0) == (received > 0)
    return (
        Line(CLEARING, -received),
        Line(wallet_of(user_id), wallet),
        Line(PROMOTIONS, uncovered),
        Line(PROMOTIONS if below_value else REVENUE, -difference),
    )
