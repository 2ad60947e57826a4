"""What fills the feeds."""

from cloudyard.domains.live.service import LiveFeed
from cloudyard.foundation.durable import Delivered

USER = "user:"


class LiveConsumer:
    """Puts events about users into their feeds: those whose subject is a user, or whose payload names one."""

    name = "live"

    def __init__(self, feed: LiveFeed, kinds: frozenset[str]) -> None:
        self._feed = feed
        self._kinds = kinds

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of event that users follow."""
        return self._kinds

    async def handle(self, event: Delivered) -> None:
        """Write it into the feed of its user."""
        user_id = event.payload.get("user_id") or event.subject.removeprefix(USER)
        await self._feed.add(str(user_id), event, event.payload)
