"""The fixtures of Smart AI Hub's contract tests."""

from aihub_people import admin, aihub_server, ann, client, join, onlooker, root
from aihub_sign_in import browser, google, running_provider, sign_in_server

__all__ = [
    "admin",
    "aihub_server",
    "ann",
    "browser",
    "client",
    "google",
    "join",
    "onlooker",
    "root",
    "running_provider",
    "sign_in_server",
]
