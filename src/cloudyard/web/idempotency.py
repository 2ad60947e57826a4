"""Idempotency-Key on routes that change or charge something (draft-ietf-httpapi-idempotency-key-header-07).

Not for routes whose answer holds a secret (tokens, new API keys): answers are kept for a day, secrets are not.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response

from cloudyard.foundation.durable import IdempotencyKeys, StoredAnswer
from cloudyard.foundation.durable.idempotency import KeyClaim
from cloudyard.web.authentication import caller_of
from cloudyard.web.json_body import StrictJsonRoute

HEADER = "idempotency-key"
REPLAYED = "idempotency-replayed"
KEPT_HEADERS = frozenset({"content-type", "location"})


def fingerprint(method: str, path: str, body: bytes) -> str:
    """What makes two requests the same one: SHA-256 of method, path and body, in hexadecimal."""
    digest = hashlib.sha256(f"{method} {path}\n".encode())
    digest.update(body)
    return digest.hexdigest()


def scope_of(user_id: str, operation: str) -> str:
    """Whose key it is, for which operation: keys of different users or operations never meet."""
    return f"{user_id}:{operation}"


async def once(
    keys: IdempotencyKeys,
    scope: str,
    key: str,
    request_fingerprint: str,
    produce: Callable[[KeyClaim], Awaitable[StoredAnswer | None]],
) -> StoredAnswer | None:
    """Answer a request that carries a key: the kept answer of its first time, else what `produce` gives.

    `produce` gets the claim, so that it may store its answer in the transaction of its own change
    (`keys.completion`); it then returns None. A request that fails is forgotten and may come again. However long
    `produce` takes, the key stays claimed.
    Raises `IdempotencyKeyInFlight`, `IdempotencyKeyReused`, `InvalidInput`, and whatever `produce` raises.
    """
    begun = await keys.begin(scope, key, request_fingerprint)
    if isinstance(begun, StoredAnswer):
        return StoredAnswer(begun.status, {**begun.headers, REPLAYED: "true"}, begun.body)
    with keys.running(begun):
        try:
            answer = await produce(begun)
        except BaseException:
            await asyncio.shield(keys.abandon(begun))
            raise
        if answer is not None:
            await keys.complete(begun, answer)
    return answer


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request that carries a key: whose and for what, the key, and what makes it the same request."""

    scope: str
    key: str
    fingerprint: str


async def keyed_request(request: Request, operation: str) -> KeyedRequest | None:
    """The key of a known caller's request, None without one. `operation` names the route across all surfaces."""
    key = request.headers.get(HEADER)
    caller = caller_of(request.scope)
    if key is None or caller is None:
        return None
    given = fingerprint(request.method, request.url.path, await request.body())
    return KeyedRequest(scope_of(caller.user_id, operation), key, given)


class IdempotentRoute(StrictJsonRoute):
    """A FastAPI route that honours Idempotency-Key. The app's state holds the `idempotency_keys`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind the look-up of the key."""
        handler = super().get_route_handler()

        async def keyed(request: Request) -> Response:
            given = await keyed_request(request, f"{request.app.state.policy.name}:{self.name}")
            if given is None:
                return await handler(request)
            keys: IdempotencyKeys = request.app.state.idempotency_keys

            async def produce(_claim: KeyClaim) -> StoredAnswer:
                return _stored(await handler(request))

            answer = await once(keys, given.scope, given.key, given.fingerprint, produce)
            return as_response(answer) if answer is not None else Response(status_code=204)

        return keyed


def _stored(response: Response) -> StoredAnswer:
    headers = {name: value for name, value in response.headers.items() if name in KEPT_HEADERS}
    return StoredAnswer(response.status_code, headers, bytes(response.body))


def as_response(answer: StoredAnswer) -> Response:
    """A kept answer as it goes out."""
    return Response(answer.body, answer.status, dict(answer.headers))
