"""Cloudyard: the AI cloud that a team runs itself."""

from importlib.metadata import version

__version__ = version("cloudyard")
