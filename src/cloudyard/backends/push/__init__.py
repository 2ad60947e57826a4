"""What pushes notices to browsers."""

from cloudyard.backends.push.web_push import WebPush

__all__ = ["WebPush"]
