"""A long history of credits, written with Cloudyard's own ledger: every line is what a real call, purchase, refund,
gift or adjustment leaves behind, so that the ledger verifies afterwards. Only the time and the requests are left out.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import NoReturn

from sqlalchemy import Connection, insert

from cloudyard.domains.billing import Meter, Price, PriceBook, PriceLine
from cloudyard.domains.billing.batch import ChargeBatch, OpenHold, Settle
from cloudyard.domains.ledger import Entry, EntryKind, LedgerBatch, Line, Statement, wallet_of
from cloudyard.domains.ledger.records import MANUAL, PROMOTIONS
from cloudyard.domains.payments import Payment, PaymentState, Reversal, ReversalKind, entries
from cloudyard.domains.payments.models import payment_reversals, payments
from cloudyard.foundation.database import Database
from cloudyard.foundation.errors import DomainError
from cloudyard.foundation.ids import SystemIds

BEGUN = datetime.combine(datetime.now(UTC).date() + timedelta(days=1), time(), UTC)
"""Tomorrow: a statement's lines are in the order of their time, and the wallet is opened today."""
LASTED = timedelta(days=365)
OF_EACH_OTHER = 50
USAGE = 800
PART = USAGE + 4 * OF_EACH_OTHER
"""Lines that are written together: a fifth of a history is no usage."""
PARTS_AT_ONCE = 2
HOLD_LIFE = timedelta(minutes=10)
LINES = (PriceLine(Meter.CALL, 10_000_000),)
PURCHASE_CENTS, REFUND_CENTS = 1000, 100
GIFT_NANOS, SETTLED_NANOS = 50_000_000, -20_000_000


class Calendar:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.moment = BEGUN

    def now(self) -> datetime:
        """The moment it was set to."""
        return self.moment

    def monotonic(self) -> float:
        """Seconds since the beginning."""
        return (self.moment - BEGUN).total_seconds()

    async def sleep(self, seconds: float) -> NoReturn:
        """Nobody waits by it."""
        raise NotImplementedError


class Historian:
    """Writes histories into one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._calendar = Calendar()
        self._ids = SystemIds()
        self._charges = ChargeBatch(self._calendar, self._ids)

    async def write(self, user_id: str, lines: int) -> None:
        """Add so many lines to a user's history, spread over a year. The number is rounded up to whole parts."""
        price = await PriceBook(self._database, self._calendar, self._ids).publish(f"bench:{user_id}", LINES)
        parts = -(-lines // PART)
        for first in range(0, parts, PARTS_AT_ONCE):
            moments = [BEGUN + LASTED * part / parts for part in range(first, min(first + PARTS_AT_ONCE, parts))]
            await self._database.run(lambda connection, at=moments: self._write(connection, user_id, price, at))

    def _write(self, connection: Connection, user_id: str, price: Price, moments: Sequence[datetime]) -> None:
        for moment in moments:
            self._calendar.moment = moment
            self._others(connection, user_id)
            self._usage(connection, user_id, price)

    def _usage(self, connection: Connection, user_id: str, price: Price) -> None:
        holds = [self._ids.new() for _ in range(USAGE)]
        used = {Meter.CALL: 1}
        opened = [OpenHold(hold, user_id, price.amount(used), HOLD_LIFE, "Call") for hold in holds]
        settled = [Settle(hold, user_id, None, price, used, "completed", "Call", {}) for hold in holds]
        for commands in (opened, settled):
            for outcome in self._charges(connection, commands):
                if isinstance(outcome, DomainError):
                    raise outcome

    def _others(self, connection: Connection, user_id: str) -> None:
        batch = LedgerBatch(connection, self._ids, self._calendar.now())
        batch.load([*entries.accounts_of(user_id), MANUAL])
        bought = [self._payment(user_id) for _ in range(OF_EACH_OTHER)]
        reversals = [
            Reversal(f"re_{payment.id}", ReversalKind.REFUND, None, None, REFUND_CENTS, returned=False)
            for payment in bought
        ]
        taken = bought[0].value * REFUND_CENTS // PURCHASE_CENTS
        paid = []
        for payment, reversal in zip(bought, reversals, strict=True):
            paid.append(batch.post(entries.purchase(payment)).id)
            batch.post(self._by_hand(user_id, EntryKind.BONUS, GIFT_NANOS))
            batch.post(entries.taking(payment, reversal.id, reversal.kind, reversal.cents, taken, 0))
            batch.post(self._by_hand(user_id, EntryKind.ADJUSTMENT, SETTLED_NANOS))
        batch.flush()
        connection.execute(insert(payments), [_row(each, which) for each, which in zip(bought, paid, strict=True)])
        connection.execute(
            insert(payment_reversals),
            [
                {
                    "id": reversal.id,
                    "payment_id": payment.id,
                    "kind": reversal.kind.value,
                    "cents": reversal.cents,
                    "taken_nanos": taken,
                    "uncovered_nanos": 0,
                    "returned": False,
                    "created_at": payment.created_at,
                }
                for payment, reversal in zip(bought, reversals, strict=True)
            ],
        )

    def _payment(self, user_id: str) -> Payment:
        return Payment(
            id=self._ids.new(),
            user_id=user_id,
            package_id=None,
            payment_method="pm_bench",
            value=PURCHASE_CENTS * 10_000_000,
            cents=PURCHASE_CENTS,
            state=PaymentState.COMPLETED,
            closed=True,
            provider_id=None,
            failure=None,
            created_at=self._calendar.now(),
        )

    def _by_hand(self, user_id: str, kind: EntryKind, nanos: int) -> Entry:
        source = PROMOTIONS if kind is EntryKind.BONUS else MANUAL
        lines = (Line(source, -nanos), Line(wallet_of(user_id), nanos))
        return Entry(kind, f"bench:{self._ids.new()}", lines, "By hand", Statement(user_id, nanos))


def _row(payment: Payment, transaction_id: str) -> dict[str, object]:
    return {
        "id": payment.id,
        "user_id": payment.user_id,
        "fingerprint": payment.id,
        "payment_method": payment.payment_method,
        "value_nanos": payment.value,
        "cents": payment.cents,
        "state": payment.state.value,
        "closed": payment.closed,
        "transaction_id": transaction_id,
        "created_at": payment.created_at,
        "due_at": payment.created_at,
        "ended_at": payment.created_at,
    }
