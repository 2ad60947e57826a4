"""Stripe's objects as payments know them.

Sources: Stripe API reference, The PaymentIntent object, The Refund object, The Dispute object, Types of events.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from cloudyard.domains.payments import Notice, ProviderIntent, ProviderState, RefundsChanged, Reversal, ReversalKind

STATES: Mapping[str, ProviderState] = {
    "requires_confirmation": ProviderState.UNCONFIRMED,
    "processing": ProviderState.PROCESSING,
    "requires_capture": ProviderState.PROCESSING,
    "requires_action": ProviderState.ACTION_REQUIRED,
    "requires_payment_method": ProviderState.DECLINED,
    "canceled": ProviderState.CANCELLED,
    "succeeded": ProviderState.SUCCEEDED,
}
NOT_GOING = frozenset({"failed", "canceled"})
WON = "won"
WARNING = "warning_"
"""An inquiry, which has moved no money yet."""
OUR_REFUND = "cloudyard_refund"
"""The metadata in which a refund that was asked for here keeps our id of it."""
FUNDS_BACK = "charge.dispute.funds_reinstated"


class LastError(msgspec.Struct):
    """Why the last attempt to pay failed."""

    message: str | None = None


class Intent(msgspec.Struct):
    """A PaymentIntent. `latest_charge` is an id, or the charge where it was expanded."""

    id: str
    status: str
    amount: int
    currency: str
    amount_received: int | None = None
    client_secret: str | None = None
    latest_charge: str | dict[str, Any] | None = None
    last_payment_error: LastError | None = None
    cancellation_reason: str | None = None

    def read(self) -> ProviderIntent:
        """As payments know it."""
        state = STATES.get(self.status, ProviderState.PROCESSING)
        received = self.amount if self.amount_received is None else self.amount_received
        return ProviderIntent(
            self.id,
            state,
            received if state is ProviderState.SUCCEEDED else 0,
            self.currency,
            _id_of(self.latest_charge),
            self.client_secret,
            self._failure(),
        )

    def _failure(self) -> str | None:
        if self.last_payment_error is not None:
            return self.last_payment_error.message
        return f"It was cancelled ({self.cancellation_reason})." if self.cancellation_reason else None


class Refund(msgspec.Struct):
    """A Refund."""

    id: str
    amount: int
    status: str | None = None
    charge: str | dict[str, Any] | None = None
    payment_intent: str | dict[str, Any] | None = None
    metadata: dict[str, str] | None = None

    def read(self) -> Reversal:
        """As payments know it."""
        intent, charge = _id_of(self.payment_intent), _id_of(self.charge)
        ours = (self.metadata or {}).get(OUR_REFUND)
        return Reversal(self.id, ReversalKind.REFUND, intent, charge, self.amount, self.status in NOT_GOING, ours)


class BalanceTransaction(msgspec.Struct):
    """A BalanceTransaction: what a dispute moved, positive where it came back to us."""

    amount: int


class Dispute(msgspec.Struct):
    """A Dispute. Its balance transactions are at most two, one that withdraws and one that reinstates: there is no
    second withdrawal under the same id (Stripe API reference, The Dispute object, balance_transactions).
    """

    id: str
    amount: int
    status: str
    charge: str | dict[str, Any] | None = None
    payment_intent: str | dict[str, Any] | None = None
    balance_transactions: list[BalanceTransaction] | None = None

    def read(self, *, funds_back: bool = False) -> Reversal | None:
        """As payments know it; None while it is a mere inquiry."""
        if self.status.startswith(WARNING):
            return None
        intent, charge = _id_of(self.payment_intent), _id_of(self.charge)
        reinstated = any(moved.amount > 0 for moved in self.balance_transactions or ())
        returned = funds_back or reinstated or self.status == WON
        return Reversal(self.id, ReversalKind.DISPUTE, intent, charge, self.amount, returned)


class Charge(msgspec.Struct):
    """A Charge."""

    id: str
    payment_intent: str | dict[str, Any] | None = None


class RefundList(msgspec.Struct):
    """A page of refunds, the newest first."""

    data: list[Refund]
    has_more: bool = False


class DisputeList(msgspec.Struct):
    """A page of disputes, the newest first."""

    data: list[Dispute]
    has_more: bool = False


class EventData(msgspec.Struct):
    """What an event is about."""

    object: msgspec.Raw


class Event(msgspec.Struct):
    """An Event."""

    type: str
    data: EventData

    def read(self) -> Notice | None:
        """What it tells; None if it is of no concern. Raises `msgspec.DecodeError`."""
        kind = self.type
        if kind.startswith("payment_intent."):
            return msgspec.json.decode(self.data.object, type=Intent).read()
        if kind.startswith("charge.dispute."):
            return msgspec.json.decode(self.data.object, type=Dispute).read(funds_back=kind == FUNDS_BACK)
        if kind.startswith(("refund.", "charge.refund.")):
            return msgspec.json.decode(self.data.object, type=Refund).read()
        if kind == "charge.refunded":
            charge = msgspec.json.decode(self.data.object, type=Charge)
            return RefundsChanged(charge.id, _id_of(charge.payment_intent))
        return None


class Problem(msgspec.Struct):
    """What Stripe says of a failed request."""

    type: str | None = None
    code: str | None = None
    param: str | None = None
    message: str | None = None
    payment_intent: Intent | None = None


class Failure(msgspec.Struct):
    """The body of a failed request."""

    error: Problem


def _id_of(given: str | dict[str, Any] | None) -> str | None:
    """The id of an object that is named or expanded."""
    return str(given["id"]) if isinstance(given, dict) else given
