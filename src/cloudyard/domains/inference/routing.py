"""Which deployment takes a call: weights, health, concurrency limits and a bounded queue."""

import asyncio
from collections import deque
from collections.abc import Set
from dataclasses import dataclass

from cloudyard.domains.inference.errors import ModelBusy, ProviderUnavailable
from cloudyard.domains.inference.records import Deployment, Model
from cloudyard.foundation.clock import Clock

FAILURES_TO_EJECT = 3
FIRST_EJECTION_SECONDS = 1.0
LONGEST_EJECTION_SECONDS = 30.0


@dataclass(slots=True)
class _State:
    """How a deployment fares. `credit` is its turn in the smooth weighted round robin."""

    in_flight: int = 0
    failures: int = 0
    ejected_until: float = 0.0
    credit: int = 0


@dataclass(slots=True, eq=False)
class _Waiter:
    """A call that waits for room on one of its deployments."""

    candidates: list[Deployment]
    woken: asyncio.Future[None] | None = None
    waited_before: bool = False


@dataclass(frozen=True, slots=True)
class DeploymentHealth:
    """A deployment as operators see it."""

    model: str
    name: str
    healthy: bool
    in_flight: int
    failures: int

    @property
    def on_trial(self) -> bool:
        """Whether it was taken out for its failures and the next call decides about it."""
        return self.healthy and self.failures >= FAILURES_TO_EJECT


class Slot:
    """Room for one call on a deployment."""

    __slots__ = ("_deployment", "_excluded", "_model", "_router")

    def __init__(self, router: "Router", model: Model, excluded: Set[str]) -> None:
        self._router = router
        self._model = model
        self._excluded = excluded
        self._deployment: Deployment | None = None

    async def __aenter__(self) -> Deployment:
        """Wait for room."""
        self._deployment = await self._router.take(self._model, self._excluded)
        return self._deployment

    async def __aexit__(self, *_exception: object) -> None:
        """Make room."""
        if self._deployment is not None:
            self._router.leave(self._deployment)


class Router:
    """Gives calls a slot on a deployment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._states: dict[tuple[str, str], _State] = {}
        self._queues: dict[str, deque[_Waiter]] = {}

    def slot(self, model: Model, excluded: Set[str] = frozenset()) -> "Slot":
        """Room on a deployment, none of those excluded, for as long as the context lasts."""
        return Slot(self, model, excluded)

    async def take(self, model: Model, excluded: Set[str]) -> Deployment:
        """Take a slot, waiting in the model's queue for one; to be given back by `leave`.

        Raises `ModelBusy` if the queue is full, `ProviderUnavailable` if nothing is left to try.
        """
        candidates = [d for d in model.deployments if d.name not in excluded]
        if not candidates:
            raise ProviderUnavailable(
                f"No deployment of {model.name} can be reached. Try again shortly.", retry_after=1
            )
        queue = self._queues.setdefault(model.name, deque())
        deployment = self._choose(candidates) if not queue else None
        if deployment is None and len(queue) >= model.max_queue:
            raise ModelBusy(
                f"{model.name} is busy and {model.max_queue} calls wait already. Try again shortly.", retry_after=1
            )
        waiter = _Waiter(candidates)
        while deployment is None:
            await self._wait(model.name, waiter)
            deployment = self._choose(candidates)
        self._state(deployment).in_flight += 1
        return deployment

    def leave(self, deployment: Deployment) -> None:
        """Give a slot back."""
        self._state(deployment).in_flight -= 1
        self._wake(deployment.model)

    def succeeded(self, deployment: Deployment) -> None:
        """Note a good answer."""
        state = self._state(deployment)
        state.failures = 0
        state.ejected_until = 0.0

    def failed(self, deployment: Deployment) -> None:
        """Note a failure; several in a row take the deployment out for a while."""
        state = self._state(deployment)
        state.failures += 1
        if state.failures >= FAILURES_TO_EJECT:
            pause = FIRST_EJECTION_SECONDS * 2 ** min(state.failures - FAILURES_TO_EJECT, 10)
            state.ejected_until = self._clock.monotonic() + min(pause, LONGEST_EJECTION_SECONDS)

    def health(self, model: Model) -> list[DeploymentHealth]:
        """How the deployments of a model fare."""
        now = self._clock.monotonic()
        found = []
        for deployment in model.deployments:
            state = self._state(deployment)
            healthy = state.ejected_until <= now
            found.append(DeploymentHealth(model.name, deployment.name, healthy, state.in_flight, state.failures))
        return found

    def _state(self, deployment: Deployment) -> _State:
        key = (deployment.model, deployment.name)
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = _State()
        return state

    def _choose(self, candidates: list[Deployment]) -> Deployment | None:
        """The next in turn among the healthy that have room; the ejected only when nothing healthy is left."""
        if len(candidates) == 1:
            return candidates[0] if self._has_room(candidates[0]) else None
        now = self._clock.monotonic()
        healthy = [d for d in candidates if self._state(d).ejected_until <= now] or candidates
        preferred = [d for d in healthy if d.weight > 0] or healthy
        free = [d for d in preferred if self._has_room(d)] or [d for d in healthy if self._has_room(d)]
        if len(free) <= 1:
            return free[0] if free else None
        for deployment in free:
            self._state(deployment).credit += deployment.weight
        chosen = max(free, key=lambda d: self._state(d).credit)
        self._state(chosen).credit -= sum(d.weight for d in free)
        return chosen

    def _has_room(self, deployment: Deployment) -> bool:
        return self._state(deployment).in_flight < deployment.max_concurrency

    async def _wait(self, model: str, waiter: "_Waiter") -> None:
        """Wait for room; one who waited before and was overtaken waits at the front."""
        queue = self._queues[model]
        waiter.woken = asyncio.get_running_loop().create_future()
        if waiter.waited_before:
            queue.appendleft(waiter)
        else:
            queue.append(waiter)
        waiter.waited_before = True
        try:
            await waiter.woken
        except asyncio.CancelledError:
            if waiter in queue:
                queue.remove(waiter)
            else:
                self._wake(model)  # it was woken for room that it will not use
            raise

    def _wake(self, model: str) -> None:
        """Wake the first who can use the room that there is now."""
        queue = self._queues[model]
        for waiter in queue:
            if any(self._has_room(deployment) for deployment in waiter.candidates):
                queue.remove(waiter)
                if waiter.woken is not None and not waiter.woken.done():
                    waiter.woken.set_result(None)
                return
