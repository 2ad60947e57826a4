"""The pages that links in mails lead to, used as their reader uses them."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from cloudyard.domains.identity import InvalidCredentials
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.ids import SystemIds
from cloudyard.surfaces.front.account_links import add_account_links
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts, identity_parts

EMAIL, PASSWORD, NEW_PASSWORD = "ada@example.com", "FirstPass123!", "SecondPass123!"


@pytest.fixture
def identity(
    sqlite_database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, tmp_path: Path
) -> IdentityParts:
    return identity_parts(sqlite_database, clock, ids, outbox, tmp_path / "mail")


@pytest.fixture
async def browser(identity: IdentityParts) -> AsyncIterator[httpx2.AsyncClient]:
    app = FastAPI()
    add_account_links(app, identity.recovery)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client


def hidden_token(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found
    return found[1]


async def test_an_address_is_verified_by_the_button_and_not_by_opening_the_link(
    identity: IdentityParts, browser: httpx2.AsyncClient
) -> None:
    user = await identity.users.register(email=EMAIL, password=PASSWORD, name="Ada")
    token = await identity.mailed_token(EMAIL, "verify-email")

    page = await browser.get("/verify-email", params={"token": token})
    assert page.status_code == 200
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert not (await identity.users.get(user.id)).email_verified

    done = await browser.post("/verify-email", data={"token": hidden_token(page.text)})
    assert done.status_code == 200
    assert (await identity.users.get(user.id)).email_verified

    again = await browser.post("/verify-email", data={"token": token})
    assert again.status_code >= 400
    assert "<form" not in again.text


async def test_a_new_password_is_set_and_a_weak_one_asked_for_again(
    identity: IdentityParts, browser: httpx2.AsyncClient
) -> None:
    await identity.users.register(email=EMAIL, password=PASSWORD, name="Ada")
    await identity.recovery.forgot_password(EMAIL)
    token = await identity.mailed_token(EMAIL, "reset-password")

    weak = await browser.post("/reset-password", data={"token": token, "new_password": "short"})
    assert weak.status_code == 400
    assert hidden_token(weak.text) == token

    done = await browser.post("/reset-password", data={"token": token, "new_password": NEW_PASSWORD})
    assert done.status_code == 200
    assert (await identity.sessions.login(EMAIL, NEW_PASSWORD, client=None)).access_token
    with pytest.raises(InvalidCredentials):
        await identity.sessions.login(EMAIL, PASSWORD, client=None)


async def test_a_token_is_shown_as_text_and_never_as_markup(browser: httpx2.AsyncClient) -> None:
    page = await browser.get("/verify-email", params={"token": '"><script>alert(1)</script>'})
    assert "<script>" not in page.text


async def test_what_is_for_operators_is_logged_and_not_told(
    unreachable_database: Database, clock: ManualClock, ids: SystemIds, outbox: Outbox, tmp_path: Path
) -> None:
    app = FastAPI()
    add_account_links(app, identity_parts(unreachable_database, clock, ids, outbox, tmp_path / "mail").recovery)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as browser:
        with capture_logs() as logs:
            page = await browser.post("/verify-email", data={"token": "x"})
    assert page.status_code == 503
    assert "127.0.0.1" not in page.text
    [withheld] = [entry for entry in logs if entry["event"] == "request failed"]
    assert withheld["code"] == "database_unavailable"
    assert "127.0.0.1" in withheld["reason"]
