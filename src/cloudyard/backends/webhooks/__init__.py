"""What posts webhooks."""

from cloudyard.backends.webhooks.http_sender import HttpSender

__all__ = ["HttpSender"]
