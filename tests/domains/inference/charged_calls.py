"""Calls of one user, and what they cost."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from cloudyard.domains.billing import UsageRecord
from cloudyard.domains.identity import Principal
from cloudyard.domains.inference import Answer, CallContext, ChatRequest, Generation, Message
from cloudyard.domains.inference.generation import Also
from cloudyard.domains.ledger.models import holds
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.settings.billing import BillingSettings, PriceSettings
from cloudyard.foundation.settings.inference import DeploymentSettings, InferenceSettings, ModelSettings
from cloudyard.testing.upstream import Upstream
from cloudyard.wiring import Services

NANOS_PER_TOKEN = 1_000_000
GRANTED = 10_000 * NANOS_PER_TOKEN
CONTEXT = CallContext("test", "request")
LOCAL, REMOTE = "here", "elsewhere"


@dataclass(frozen=True, slots=True)
class ChargedCalls:
    """A user's calls: of the model `here`, which runs on a local worker, or of `elsewhere`, which does not."""

    services: Services
    generation: Generation
    upstream: Upstream
    principal: Principal

    async def answer(self, model: str = LOCAL, *, also: Also | None = None, **more: object) -> Answer:
        """A whole answer."""
        return await self.generation.answer(self.principal, _question(model, **more), CONTEXT, also=also)

    async def stream(self, model: str = LOCAL, **more: object) -> Answer | None:
        """A streamed answer, read to its end."""
        async with self.generation.stream(self.principal, _question(model, **more), CONTEXT) as stream:
            async for _chunk in stream:
                pass
        return stream.answer

    async def chunks(self, model: str = LOCAL, **more: object) -> AsyncIterator[Mapping[str, Any]]:
        """The chunks of a streamed answer, as they come."""
        async with self.generation.stream(self.principal, _question(model, **more), CONTEXT) as stream:
            async for chunk in stream:
                yield chunk

    async def usage(self) -> list[UsageRecord]:
        """What was charged."""
        return list(await self.services.billing.usage(self.principal.user_id, limit=100))

    async def spent(self) -> int:
        """Nano-dollars that were charged, and the proof that no hold is left open."""
        async with asyncio.timeout(10):
            while self.services.charges.running:  # noqa: ASYNC110 - a charge tells nobody of its end
                await asyncio.sleep(0.002)
        async with self.services.database.reading() as tx:
            assert await tx.scalar(select(func.count()).select_from(holds).where(holds.c.state == "open")) == 0
        wallet = await self.services.ledger.wallet(self.principal.user_id)
        assert wallet.held == 0
        return GRANTED - wallet.available

    async def holds_made(self) -> int:
        """How many calls had credit set aside, whatever became of it."""
        async with self.services.database.reading() as tx:
            return int(await tx.scalar(select(func.count()).select_from(holds)))


def _question(model: str, **more: object) -> ChatRequest:
    messages = [Message(role="user", content="one two three")]
    return ChatRequest(**{"model": model, "messages": messages, **more})  # type: ignore[arg-type]


def settings_for(directory: Path, upstream_url: str) -> Settings:
    """Two models of the same upstream, each token for a million nano-dollars."""
    here = DeploymentSettings(name="worker", kind="local", path=Path("none.gguf"), timeout_seconds=5)
    there = DeploymentSettings(name="upstream", kind="openai", base_url=upstream_url, timeout_seconds=5)
    price = [PriceSettings(meter=meter, usd="0.001", per=1) for meter in ("input_token", "output_token")]
    return Settings(
        data_dir=directory,
        inference=InferenceSettings(
            models={
                LOCAL: ModelSettings(deployments=[here], context_length=1000, max_output_tokens=100),
                REMOTE: ModelSettings(deployments=[there], context_length=1000, max_output_tokens=100),
            },
            default_models=False,
        ),
        billing=BillingSettings(welcome_credits=0, prices={f"model:{LOCAL}": price, f"model:{REMOTE}": price}),
    )
