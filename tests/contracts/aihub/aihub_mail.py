"""The mail that an installation sent, as its recipient finds it."""

import re
import time

from cloudyard.testing.installation import Installation


def reset_tokens(server: Installation, email: str) -> list[str]:
    folder = server.services.settings.data_dir / "mail"
    letters = [file.read_text() for file in folder.glob("*.eml")]
    found = [re.search(r"/reset-password\?token=([\w.~-]+)", letter) for letter in letters if email in letter]
    return [match[1] for match in found if match is not None]


def mailed_token(server: Installation, email: str) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        tokens = reset_tokens(server, email)
        if tokens:
            return tokens[-1]
        time.sleep(0.05)
    raise AssertionError("no reset mail came")
