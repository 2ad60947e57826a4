"""What billing does in the background."""

from cloudyard.domains.billing.service import Billing
from cloudyard.foundation.durable import Delivered


class WelcomeConsumer:
    """Gives welcome credits to a user whose registration was cut off before it could."""

    name = "billing.welcome"
    kinds = frozenset({"user.created"})

    def __init__(self, billing: Billing) -> None:
        self._billing = billing

    async def handle(self, event: Delivered) -> None:
        """Give them, once."""
        await self._billing.welcome(event.subject.removeprefix("user:"))
