"""What the pages of the authorization endpoint do not tell of a failure is in the log."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from structlog.testing import capture_logs

from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.surfaces.oauth import OAuthServices, create_app
from cloudyard.surfaces.oauth.policy import AUTHORIZE
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import identity_parts
from cloudyard.web.public_url import PublicUrl

CLIENT, BACK = "https://app.example/client.json", "https://app.example/cb"
ASKED = {
    "response_type": "code",
    "client_id": CLIENT,
    "redirect_uri": BACK,
    "code_challenge": "c" * 43,
    "code_challenge_method": "S256",
    "scope": "wallet",
}
AGREED = {**ASKED, "decision": "allow", "allow_scope": "wallet", "identifier": "ada@example.com", "password": "x"}


@pytest.fixture
async def browser(
    unreachable_database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, tmp_path: Path
) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser before an endpoint that knows one application by its document, and cannot reach its database."""
    identity = identity_parts(unreachable_database, clock, ids, outbox, tmp_path / "mail")
    identity.documents.at[CLIENT] = json.dumps({"client_id": CLIENT, "redirect_uris": [BACK]}).encode()
    public_url = PublicUrl("http://testserver")
    app = create_app(OAuthServices(identity.sessions, identity.clients, identity.delegations, public_url))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://testserver") as client:
        yield client


@pytest.mark.parametrize(
    ("method", "fields"),
    [("GET", {**ASKED, "client_id": "registered"}), ("POST", AGREED)],
    ids=["showing the page", "taking its answer"],
)
async def test_what_is_for_operators_is_logged_and_not_told(
    browser: httpx2.AsyncClient, method: str, fields: dict[str, str]
) -> None:
    sent = {"params": fields} if method == "GET" else {"data": fields}
    with capture_logs() as logs:
        page = await browser.request(method, AUTHORIZE, **sent)
    assert page.status_code == 503
    assert "The database cannot be used at the moment." in page.text
    assert "127.0.0.1" not in page.text
    [withheld] = [entry for entry in logs if entry["event"] == "request failed"]
    assert withheld["code"] == "database_unavailable"
    assert "127.0.0.1" in withheld["reason"]
