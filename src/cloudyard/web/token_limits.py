"""Tokens a minute: taken before a call as an estimate, made up afterwards where the call used more.

The estimate is OpenAI's: the longer of `max_tokens` and a quarter of the prompt's characters
(https://platform.openai.com/docs/guides/rate-limits). What a shorter answer leaves unused is not given back.
"""

from dataclasses import dataclass

import structlog

from cloudyard.domains.identity.records import Principal
from cloudyard.domains.inference import Answer, Catalogue, ChatRequest, CompletionRequest, EmbeddingRequest, Model
from cloudyard.foundation.errors import DomainError, ErrorKind
from cloudyard.foundation.limiting import Limit, LimitStore, Verdict
from cloudyard.foundation.telemetry import Metrics
from cloudyard.web.policy import SurfacePolicy

log = structlog.get_logger(__name__)

RULE = "tokens"
MINUTE = 60
CHARACTERS_PER_TOKEN = 4
MAKE_UP_TRIES = 3

Request = ChatRequest | CompletionRequest | EmbeddingRequest


class TokenLimitReached(DomainError):
    """The caller used too many tokens within the window, or asks for more at once than the limit is."""

    code = "token_limit_reached"
    kind = ErrorKind.RATE_LIMITED


@dataclass(frozen=True, slots=True)
class TokensTaken:
    """What a call took from its caller's tokens; `verdict` tells what is left."""

    key: str
    limit: Limit
    tokens: int
    verdict: Verdict


class TokenLimits:
    """The tokens a minute of each caller on one surface: what the API key says, on every surface together, else what
    the surface's policy allows a user.

    Without a store nothing is limited. While the store cannot be reached calls go uncounted, as requests do.
    """

    def __init__(self, policy: SurfacePolicy, store: LimitStore | None, catalogue: Catalogue, metrics: Metrics) -> None:
        self._policy = policy
        self._store = store
        self._catalogue = catalogue
        self._metrics = metrics

    async def take(self, principal: Principal, request: Request) -> TokensTaken | None:
        """Take what the call is expected to use; None where nothing limits it.

        Raises `TokenLimitReached`, or `ModelNotFound`.
        """
        limited = self._limit_of(principal)
        if self._store is None or limited is None:
            return None
        key, limit = limited
        tokens = estimate(request, self._catalogue.find(request.model))
        verdict = await self._count(self._store, key, limit, tokens)
        if verdict is None:
            return None
        if not verdict.allowed:
            self._metrics.rate_limited(self._policy.name, RULE)
            raise _refusal(limit, tokens, verdict)
        return TokensTaken(key, limit, tokens, verdict)

    async def make_up(self, taken: TokensTaken | None, answer: Answer | None) -> None:
        """Take what the call used beyond its estimate, as far as there is any left; nothing if it came to no answer.

        No more than its worst case, for which credit was held: a provider may report whatever it likes.
        What is answered is charged already: a store that cannot be reached costs nobody the answer.
        """
        if self._store is None or taken is None or answer is None:
            return
        missing = min(answer.usage.total, answer.most_tokens) - taken.tokens
        for _ in range(MAKE_UP_TRIES):  # of what a refusal says is left, others may take some before this call does
            if missing <= 0:
                return
            verdict = await self._count(self._store, taken.key, taken.limit, missing)
            if verdict is None or verdict.allowed:
                return
            missing = min(missing, verdict.remaining)

    def _limit_of(self, principal: Principal) -> tuple[str, Limit] | None:
        key = principal.api_key
        if key is not None and key.tokens_per_minute is not None:
            return f"api-key:{key.id}:{RULE}", Limit(key.tokens_per_minute, MINUTE)
        if self._policy.tokens is not None:
            return f"{self._policy.name}:{RULE}:user:{principal.user_id}", self._policy.tokens
        return None

    async def _count(self, store: LimitStore, key: str, limit: Limit, tokens: int) -> Verdict | None:
        """Take tokens; None while they cannot be counted."""
        try:
            return await store.take(key, limit, tokens)
        except DomainError as error:
            if error.kind is not ErrorKind.UNAVAILABLE:
                raise
            log.warning("tokens not counted", surface=self._policy.name, reason=str(error))
            return None


def estimate(request: Request, model: Model) -> int:
    """Tokens that a call is expected to use, at least one. An answer is no longer than the model's context."""
    if isinstance(request, ChatRequest):
        characters = sum(len(message.text) for message in request.messages)
        asked, answers = request.max_completion_tokens or request.max_tokens, request.n or 1
    elif isinstance(request, CompletionRequest):
        prompts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
        characters = sum(map(len, prompts))
        asked, answers = request.max_tokens, (request.n or 1) * len(prompts)
    else:
        characters, asked, answers = sum(map(len, request.texts)), None, 0
    return max(1, min(asked or 0, model.context_length) * answers, -(-characters // CHARACTERS_PER_TOKEN))


def _refusal(limit: Limit, tokens: int, verdict: Verdict) -> TokenLimitReached:
    left = f"{verdict.remaining} of {limit.amount} in {limit.seconds} seconds are left"
    asked = f"this call needs about {tokens}, {left}"
    details = {"rule": RULE, "limit": limit.amount, "window_seconds": limit.seconds}
    if tokens > limit.amount:
        return TokenLimitReached(
            f"Request too large for the token limit: {asked}. Send less or lower `max_tokens`.", details=details
        )
    return TokenLimitReached(
        f"Rate limit reached for tokens: {asked}. Try again in {verdict.retry_after} seconds.",
        details=details,
        retry_after=verdict.retry_after,
    )
