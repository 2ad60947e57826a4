"""A user of the running server."""

from dataclasses import dataclass
from typing import Any

import httpx2


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the running server."""

    base_url: str
    session: httpx2.Client

    def key(self, **limits: Any) -> str:
        """A new API key."""
        answer = self.session.post("/neurogrid/api/users/api-keys", json={"name": "test", **limits})
        assert answer.status_code == 201, answer.text
        secret: str = answer.json()["data"]["key"]
        return secret

    def wallet(self) -> dict[str, Any]:
        """The user's balances in dollars."""
        found: dict[str, Any] = self.session.get("/neurogrid/api/wallet").json()["data"]
        return found
