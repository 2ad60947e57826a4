"""The fixtures of Smart AI Hub's contract tests."""

from aihub_people import admin, aihub_server, ann, client, join, onlooker, root

__all__ = ["admin", "aihub_server", "ann", "client", "join", "onlooker", "root"]
