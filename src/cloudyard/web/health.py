"""Readiness: every dependency is really asked, each with a time-out of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from cloudyard.foundation.clock import Clock
from cloudyard.foundation.errors import DomainError

TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something that the server needs. `ask` raises when it does not answer; `backend` names what stands behind."""

    ask: Callable[[], Awaitable[object]]
    backend: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a dependency said. `problem` is None when it is well; `seconds` is how long it took to say so."""

    name: str
    backend: str
    seconds: float
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it is well."""
        return self.problem is None


class Readiness:
    """Asks all dependencies at once. Parallel askers share one round, so that asking often costs little."""

    def __init__(
        self, clock: Clock, dependencies: Mapping[str, Dependency], *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._clock = clock
        self._dependencies = dict(dependencies)
        self._timeout = timeout_seconds
        self._round: asyncio.Task[list[Finding]] | None = None

    async def ask(self) -> list[Finding]:
        """What every dependency says, in the order in which they were given."""
        if self._round is None or self._round.done():
            self._round = asyncio.create_task(self._ask_all(), name="readiness")
        return await asyncio.shield(self._round)

    async def _ask_all(self) -> list[Finding]:
        return list(await asyncio.gather(*(self._ask(name, d) for name, d in self._dependencies.items())))

    async def _ask(self, name: str, dependency: Dependency) -> Finding:
        started = self._clock.monotonic()
        problem: str | None = None
        try:
            async with asyncio.timeout(self._timeout):
                await dependency.ask()
        except TimeoutError:
            problem = f"no answer within {self._timeout:g} seconds"
        except DomainError as error:
            problem = error.message
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a dependency is the answer to the question
            problem = f"{type(error).__name__}: {error}"
        return Finding(name, dependency.backend, self._clock.monotonic() - started, problem)
