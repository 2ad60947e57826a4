"""What payments need from outside."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from cloudyard.domains.payments.records import Notice, ProviderIntent, Reversal


class PaymentProvider(Protocol):
    """Takes money. The same `key` of a request works once.

    Every method raises `PaymentProviderUnavailable`, `PaymentRefused`, or `FeatureUnavailable` where none is set up.
    """

    async def ping(self) -> None:
        """Whether anything can be bought at all; raises `FeatureUnavailable`."""
        ...

    async def create(self, *, cents: int, payment_method: str, payment_id: str, user_id: str) -> ProviderIntent:
        """Prepare a payment, which charges nothing yet. Raises `PaymentMethodRefused` too."""
        ...

    async def confirm(self, intent_id: str, *, key: str) -> ProviderIntent:
        """Charge a prepared payment. A decline is an answer and no exception."""
        ...

    async def retrieve(self, intent_id: str) -> ProviderIntent:
        """How a payment stands."""
        ...

    async def cancel(self, intent_id: str, *, key: str) -> ProviderIntent:
        """See to it that a payment takes no more money, unless it has it already; how it stands then."""
        ...

    async def refund(self, charge_id: str, *, cents: int, refund_id: str) -> Reversal:
        """Give so much of a charge back; the provider keeps our `refund_id` with it. Raises `RefundRefused` too."""
        ...

    async def refunds(self, charge_id: str) -> Sequence[Reversal]:
        """Every refund of a charge."""
        ...

    async def refunds_since(self, since: datetime) -> Sequence[Reversal]:
        """Every refund that began at or after a time, as it stands now."""
        ...

    async def disputes_since(self, since: datetime) -> Sequence[Reversal]:
        """Every dispute that began at or after a time and has moved money, as it stands now."""
        ...

    def read_event(self, body: bytes, signature: str | None, now: datetime) -> Notice | None:
        """What a signed event tells; None if it is of no concern. Raises `ForgedPaymentEvent`."""
        ...
