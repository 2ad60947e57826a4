"""The front door, behind its gate."""

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from cloudyard.foundation.clock import SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.errors import FeatureUnavailable
from cloudyard.foundation.ids import SystemIds
from cloudyard.foundation.telemetry import Metrics, Tracing
from cloudyard.surfaces.front import POLICY, Front, ModelLine, SurfaceLine, create_app
from cloudyard.testing.identity import IdentityParts, identity_parts
from cloudyard.web.errors import ProblemRenderer
from cloudyard.web.gate import Gate, GateParts
from cloudyard.web.health import Finding, State
from cloudyard.web.proxies import TrustedProxies

WELL = (Finding("database", "sqlite", 0.0004), Finding("storage", "local", 0.002))
UNWELL = (WELL[0], Finding("storage", "<local>", 3.0, State.UNAVAILABLE, "/srv/objects: no answer & no word"))
LIMPING = (WELL[0], Finding("mail", "smtp", 2.0, State.DEGRADED, "10.0.0.9 does not answer"))
PASSWORD = "Correct horse 7!"

Open = Callable[[Sequence[Finding]], TestClient]


async def nobody(_body: bytes, _signature: str | None) -> None:
    """Takes events of payments in a house that sells nothing."""
    raise FeatureUnavailable("Nothing is sold here.")


@pytest.fixture
def identity(sqlite_database: Database, tmp_path: Path) -> IdentityParts:
    clock = SystemClock()
    return identity_parts(sqlite_database, clock, SystemIds(), Outbox(clock), tmp_path / "mail")


@pytest.fixture
def open_door(identity: IdentityParts) -> Open:
    clock, ids = SystemClock(), SystemIds()
    parts = GateParts(
        sessions=identity.sessions,
        limits=None,
        clock=clock,
        ids=ids,
        metrics=Metrics(),
        tracing=Tracing(),
        proxies=TrustedProxies([]),
    )

    def open_door(findings: Sequence[Finding]) -> TestClient:
        async def health() -> Sequence[Finding]:
            return findings

        front = Front(
            version="1.2.3",
            profile="development",
            surfaces=[SurfaceLine("Some <API>", "/some", "/some/docs", "For whom & what.")],
            health=health,
            models=lambda: [ModelLine("small-model", "chat", "ready", "0.15", "0.6")],
            uptime=lambda: 12.7,
            default_model="small-model",
            recovery=identity.recovery,
            receive_payment_event=nobody,
        )
        return TestClient(
            Gate(create_app(front), POLICY, ProblemRenderer(), parts), base_url="http://yard.example:8000"
        )

    return open_door


class Reader(HTMLParser):
    """The text of a page, its links, and every tag that would fetch or run something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.links: list[str | None] = []
        self.loads: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "a":
            self.links.append(named["href"])
        if tag in ("script", "img", "link", "iframe", "form") or "src" in named or "style" in named:
            self.loads.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_what_runs_here(open_door: Open) -> None:
    answer = open_door(WELL).get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    read = Reader(answer.text)
    for words in (
        "Everything answers",
        "1.2.3",
        "development profile",
        "Some <API>",
        "For whom & what.",
        "small-model",
    ):
        assert words in read.text
    assert "/some/docs" in read.links
    assert "answers in 0.4 ms" in read.text


def test_the_first_call_is_for_the_address_that_the_reader_used(open_door: Open) -> None:
    read = Reader(open_door(WELL).get("/").text)
    assert "curl http://yard.example:8000/v1/chat/completions" in read.text
    assert '"model": "small-model"' in read.text


def test_a_hostile_host_name_reaches_no_command(open_door: Open) -> None:
    page = open_door(WELL).get("/", headers={"Host": "evil.example;$(reboot)"}).text
    assert "evil.example" not in page
    assert "http://127.0.0.1:8000/v1/chat/completions" in page


def test_the_page_fetches_and_runs_nothing(open_door: Open) -> None:
    answer = open_door(WELL).get("/")
    assert Reader(answer.text).loads == []
    style = re.search("<style>(.*)</style>", answer.text, re.DOTALL)
    assert style is not None
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_part_that_does_not_answer_is_shown(open_door: Open) -> None:
    read = Reader(open_door(UNWELL).get("/").text)
    assert "Something does not answer" in read.text
    assert "unavailable" in read.text
    assert "no answer" not in read.text
    assert "<local>" in read.text


def test_a_part_that_one_can_do_without_alarms_nobody(open_door: Open) -> None:
    read = Reader(open_door(LIMPING).get("/").text)
    assert "Everything that is needed answers" in read.text
    assert "degraded" in read.text
    answer = open_door(LIMPING).get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["parts"]["mail"]["problem"] == "degraded"


def test_health_tells_of_the_process(open_door: Open) -> None:
    answer = open_door(UNWELL).get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "healthy", "version": "1.2.3", "uptime": 12}


def test_ready_tells_of_everything_behind_it(open_door: Open) -> None:
    well = open_door(WELL).get("/ready")
    assert (well.status_code, well.json()["status"]) == (200, "ready")
    unwell = open_door(UNWELL).get("/ready")
    assert (unwell.status_code, unwell.json()["status"]) == (503, "not_ready")
    assert unwell.json()["parts"]["database"] == {"ok": True, "backend": "sqlite", "seconds": 0.0004}
    assert unwell.json()["parts"]["storage"]["problem"] == "unavailable"
    assert unwell.headers["cache-control"] == "no-store"


async def test_only_an_administrator_hears_what_exactly_is_wrong(open_door: Open, identity: IdentityParts) -> None:
    await identity.users.ensure_admin("root@example.com", PASSWORD)
    await identity.users.register(email="ann@example.com", password=PASSWORD)
    told = {}
    for email in ("root@example.com", "ann@example.com"):
        tokens = await identity.sessions.login(email, PASSWORD)
        headers = {"Authorization": f"Bearer {tokens.access_token}"}
        told[email] = open_door(UNWELL).get("/ready", headers=headers).json()["parts"]["storage"]["problem"]
    assert told == {"root@example.com": "/srv/objects: no answer & no word", "ann@example.com": "unavailable"}


def test_the_door_is_only_read(open_door: Open) -> None:
    door = open_door(WELL)
    assert door.head("/").status_code == 200
    refused = door.post("/")
    assert refused.status_code == 405
    assert refused.headers["content-type"] == "application/problem+json"


def test_an_event_of_a_payment_is_refused_where_nothing_is_sold(open_door: Open) -> None:
    answer = open_door(WELL).post("/webhooks/stripe", content=b"{}")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "Nothing is sold here."
