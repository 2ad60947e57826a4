"""For asyncio."""

from asyncio import Lock, sleep

__all__ = ["Lock", "sleep"]
