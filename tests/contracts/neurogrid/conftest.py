"""The fixtures of NeuroGrid's contract tests."""

from neurogrid_people import ann, client, join, neurogrid_server, onlooker

__all__ = ["ann", "client", "join", "neurogrid_server", "onlooker"]
