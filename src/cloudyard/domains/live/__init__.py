"""Live feeds: what happens to a user, for whoever follows."""

from cloudyard.domains.live.jobs import LiveConsumer
from cloudyard.domains.live.records import LiveEvent
from cloudyard.domains.live.service import LiveFeed
from cloudyard.domains.live.usage import UsageFollowers

__all__ = ["LiveConsumer", "LiveEvent", "LiveFeed", "UsageFollowers"]
