"""Readiness: every dependency is really asked, each with a time-out of its own.

What exactly is wrong goes to the log and to administrators; anyone else hears which part it is, and how it is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog
from starlette.types import Scope

from cloudyard.foundation.clock import Clock
from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.web.authentication import caller_of

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 3.0
KEPT_SECONDS = 1.0


class State(StrEnum):
    """How a dependency is. What is degraded keeps nobody from being served."""

    WELL = "well"
    DEGRADED = "degraded"
    UNAVAILABLE = "unavailable"


class Degraded(DomainError):
    """A dependency answers, but not with all that it should be."""

    code = "degraded"
    kind = ErrorKind.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something that the server needs. `backend` names what stands behind.

    `ask` raises `Degraded` when only a part of it answers, anything else when it does not answer. Without what is not
    `essential` the server is degraded, and still ready.
    """

    ask: Callable[[], Awaitable[object]]
    backend: str
    essential: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """What a dependency said. `problem` is None when it is well; `seconds` is how long it took to say so."""

    name: str
    backend: str
    seconds: float
    state: State = State.WELL
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it is well."""
        return self.state is State.WELL

    def shown(self, *, details: bool) -> str:
        """What is wrong: in full, or in the one word that anyone may hear."""
        return self.problem if details and self.problem is not None else self.state.value


def overall(findings: Iterable[Finding]) -> State:
    """How the whole is: as its worst part."""
    states = {finding.state for finding in findings}
    return next((state for state in (State.UNAVAILABLE, State.DEGRADED) if state in states), State.WELL)


def may_see_details(scope: Scope) -> bool:
    """Whether a request's caller is an administrator, who hears what exactly is wrong."""
    caller = caller_of(scope)
    return caller is not None and caller.is_admin


class Readiness:
    """Asks all dependencies at once. Who asks within the same second shares the round: asking often costs little.

    `dependencies` is called for every round: what is needed may change while the server runs.
    """

    def __init__(
        self,
        clock: Clock,
        dependencies: Callable[[], Mapping[str, Dependency]],
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        kept_seconds: float = KEPT_SECONDS,
    ) -> None:
        self._clock = clock
        self._dependencies = dependencies
        self._timeout = timeout_seconds
        self._kept = kept_seconds
        self._asked_at = 0.0
        self._round: asyncio.Task[list[Finding]] | None = None
        self._before: Mapping[str, State] = {}

    async def ask(self) -> list[Finding]:
        """What every dependency says, in the order in which they were given."""
        now = self._clock.monotonic()
        if self._round is None or (self._round.done() and now - self._asked_at >= self._kept):
            self._asked_at = now
            self._round = asyncio.create_task(self._ask_all(), name="readiness")
        return await asyncio.shield(self._round)

    async def _ask_all(self) -> list[Finding]:
        findings = list(await asyncio.gather(*(self._ask(name, d) for name, d in self._dependencies().items())))
        for finding in findings:
            self._report(finding)
        self._before = {finding.name: finding.state for finding in findings}
        return findings

    async def _ask(self, name: str, dependency: Dependency) -> Finding:
        started = self._clock.monotonic()
        state = State.UNAVAILABLE if dependency.essential else State.DEGRADED
        problem: str | None = None
        try:
            async with asyncio.timeout(self._timeout):
                await dependency.ask()
            state = State.WELL
        except TimeoutError:
            problem = f"no answer within {self._timeout:g} seconds"
        except Degraded as error:
            state, problem = State.DEGRADED, str(error)
        except DomainError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a dependency is the answer to the question
            problem = f"{type(error).__name__}: {error}"
        return Finding(name, dependency.backend, self._clock.monotonic() - started, state, problem)

    def _report(self, finding: Finding) -> None:
        """Log a change; who asks every second must not fill the log."""
        if finding.state is self._before.get(finding.name, State.WELL):
            return
        if finding.ok:
            log.info("dependency is well again", dependency=finding.name)
        else:
            log.warning(
                "dependency is not well", dependency=finding.name, state=finding.state.value, problem=finding.problem
            )
