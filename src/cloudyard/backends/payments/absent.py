"""No payments at all: what an installation has until its operator enters a key of Stripe's."""

from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn

from cloudyard.domains.payments import Notice, ProviderIntent, Reversal
from cloudyard.foundation.errors import FeatureUnavailable


class AbsentProvider:
    """Takes no money, and says what to set. Every method raises `FeatureUnavailable`."""

    async def ping(self) -> None:
        """Refuses."""
        _refuse()

    async def create(self, *, cents: int, payment_method: str, payment_id: str, user_id: str) -> ProviderIntent:
        """Refuses."""
        _refuse()

    async def confirm(self, intent_id: str, *, key: str) -> ProviderIntent:
        """Refuses."""
        _refuse()

    async def retrieve(self, intent_id: str) -> ProviderIntent:
        """Refuses."""
        _refuse()

    async def cancel(self, intent_id: str, *, key: str) -> ProviderIntent:
        """Refuses."""
        _refuse()

    async def refund(self, charge_id: str, *, cents: int, refund_id: str) -> Reversal:
        """Refuses."""
        _refuse()

    async def refunds(self, charge_id: str) -> Sequence[Reversal]:
        """Refuses."""
        _refuse()

    async def refunds_since(self, since: datetime) -> Sequence[Reversal]:
        """Refuses."""
        _refuse()

    async def disputes_since(self, since: datetime) -> Sequence[Reversal]:
        """Refuses."""
        _refuse()

    def read_event(self, body: bytes, signature: str | None, now: datetime) -> Notice | None:
        """Refuses."""
        _refuse()

    async def close(self) -> None:
        """Nothing to close."""


def _refuse() -> NoReturn:
    raise FeatureUnavailable(
        "No payments are configured, so nothing can be bought. Set payments.stripe_key "
        "(CLOUDYARD_PAYMENTS__STRIPE_KEY) and payments.stripe_webhook_secret, or have an administrator grant credits."
    )
