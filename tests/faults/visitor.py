"""A signed-in user of a running server, and what the tests of faults ask it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import update

from cloudyard.domains.ledger.models import holds
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable.schedules import schedules
from cloudyard.testing.mortal_server import MortalServer, books_are_right, mortal_server, signed_in
from cloudyard.testing.waiting import eventually

NANOS_PER_USD = 1_000_000_000
NANOS_PER_TOKEN = 1_000_000
WELCOME_NANOS = NANOS_PER_USD
QUESTION = [{"role": "user", "content": "Which is the capital of France?"}]
MOST_TOKENS = 100
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)

SETTINGS = """
[limits]
enabled = false

[inference]
default_models = false
slots = 2
threads = 2

[billing]
welcome_credits = 100
hold_seconds = 30
"""
UPSTREAM_MODEL = """
[[inference.models.{name}.deployments]]
name = "{deployment}"
kind = "openai"
base_url = "{base_url}"
timeout_seconds = 1
weight = {weight}
"""
PRICE = """
[[billing.prices."model:{name}"]]
meter = "output_token"
usd = "0.001"
"""


@dataclass(frozen=True, slots=True)
class Visitor:
    """The one test user of a server, who pays a million nano-dollars a token of an answer and nothing for a prompt."""

    server: MortalServer
    client: httpx2.AsyncClient

    async def ask(self, model: str = "parrot", **more: Any) -> httpx2.Response:
        """One answer, or one failure."""
        question = {"model": model, "messages": QUESTION, "max_tokens": MOST_TOKENS, **more}
        return await self.client.post("/v1/chat/completions", json=question)

    @asynccontextmanager
    async def asking(self, model: str = "parrot", **more: Any) -> AsyncIterator["Streamed"]:
        """An answer as it comes."""
        question = {"model": model, "messages": QUESTION, "max_tokens": MOST_TOKENS, "stream": True, **more}
        async with self.client.stream("POST", "/v1/chat/completions", json=question) as response:
            yield Streamed(response, response.aiter_lines())

    async def ready(self) -> tuple[int, dict[str, str]]:
        """The status of /ready, and of each part that is not well how it is; mail is none of these tests' business."""
        answer = await self.client.get("/ready")
        parts = answer.json()["parts"].items()
        return answer.status_code, {name: part["problem"] for name, part in parts if not part["ok"] and name != "mail"}

    async def is_not_ready(self) -> tuple[int, dict[str, str]]:
        """What /ready says once it knows that something is wrong: what it tells may be a second old."""
        return await eventually(self.ready, lambda found: found[0] != 200)

    async def becomes_ready(self) -> None:
        """Wait until nothing is wrong any more."""
        await eventually(self.ready, lambda found: found == (200, {}))

    async def wallet(self) -> tuple[int, int]:
        """Nano-dollars free and set aside."""
        answer = await self.client.get("/neurogrid/api/wallet")
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        return round(data["balance"] * NANOS_PER_USD), round(data["held"] * NANOS_PER_USD)

    async def spent(self) -> int:
        """Tokens paid for, and the proof that nothing is set aside any more."""
        free, held = await self.wallet()
        assert held == 0
        return (WELCOME_NANOS - free) // NANOS_PER_TOKEN

    async def has_set_aside(self, calls: int) -> tuple[int, int]:
        """Wait until no more is set aside than for so many calls; tokens paid for and tokens set aside."""
        free, held = await eventually(self.wallet, lambda found: found[1] <= calls * MOST_TOKENS * NANOS_PER_TOKEN)
        return (WELCOME_NANOS - free - held) // NANOS_PER_TOKEN, held // NANOS_PER_TOKEN

    async def finally_spent(self, tokens: int) -> None:
        """Wait until just so many tokens are paid for and nothing is set aside."""
        await eventually(self.wallet, lambda found: found[1] == 0)
        assert await self.spent() == tokens


@dataclass(slots=True)
class Streamed:
    """A streamed answer."""

    response: httpx2.Response
    _lines: AsyncIterator[str]
    ended: bool = False

    async def events(self, most: int | None = None) -> list[dict[str, Any]]:
        """The next events, all of them where no number is given; `ended` says whether the stream was complete."""
        found: list[dict[str, Any]] = []
        async for line in self._lines:
            if line == "data: [DONE]":
                self.ended = True
            elif line.startswith("data: "):
                found.append(json.loads(line.removeprefix("data: ")))
            if most is not None and len(found) == most:
                break
        return found

    async def ends_whole(self) -> None:
        """Read to the end: what is delivered ends like every answer, though it can be charged only later."""
        events = await self.events()
        assert self.ended and not any("error" in event for event in events)


def pieces_of(events: list[dict[str, Any]]) -> list[str]:
    """The pieces of text in a stream."""
    deltas = (choice["delta"] for event in events for choice in event.get("choices", ()))
    return [delta["content"] for delta in deltas if delta.get("content")]


def error_of(answer: httpx2.Response, status: int, code: str) -> str:
    """The message of a failure in OpenAI's shape."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("server_error", code)
    message: str = error["message"]
    assert message
    return message


def write_settings(data_dir: Path, base_urls: Mapping[str, str], *, more: str = "") -> None:
    """Settings of a server with the model `parrot` at these upstreams; all after the first are fallbacks."""
    data_dir.mkdir(parents=True, exist_ok=True)
    deployments = [
        UPSTREAM_MODEL.format(name="parrot", deployment=name, base_url=base_url, weight=int(number == 0))
        for number, (name, base_url) in enumerate(base_urls.items())
    ]
    (data_dir / "cloudyard.toml").write_text("".join([SETTINGS, *deployments, PRICE.format(name="parrot"), more]))


async def let_holds_expire(database_url: str) -> None:
    """Have the time be over of every hold that is open, and the job be due that looks for those."""
    database = Database(database_url)
    async with database.transaction() as tx:
        await tx.execute(update(holds).where(holds.c.state == "open").values(expires_at=LONG_AGO))
        job = schedules.c.name == "billing.release_expired_holds"
        await tx.execute(update(schedules).where(job).values(due_at=LONG_AGO))
    await database.close()


@asynccontextmanager
async def visiting(data_dir: Path, environment: Mapping[str, str] | None = None) -> AsyncIterator[Visitor]:
    """A server with a user who has credit. At the end it is stopped, which it must do well, and its books are read."""
    async with mortal_server(data_dir, environment=environment) as server:
        async with signed_in(server.url) as client:
            visitor = Visitor(server, client)
            await eventually(visitor.wallet, lambda found: found == (WELCOME_NANOS, 0))
            yield visitor
        assert await server.stop() == 0, server.log
    assert books_are_right(data_dir, environment)
