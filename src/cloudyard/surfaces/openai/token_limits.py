"""Tokens a minute: taken before a call as an estimate, made up afterwards where the call used more.

The estimate is OpenAI's: the longer of `max_tokens` and a quarter of the prompt's characters
(https://platform.openai.com/docs/guides/rate-limits). What a shorter answer leaves unused is not given back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cloudyard.domains.identity.records import Principal
from cloudyard.domains.inference import Answer, Catalogue, ChatRequest, CompletionRequest, EmbeddingRequest, Model
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.limiting import Limit, LimitStore
from cloudyard.foundation.telemetry import Metrics
from cloudyard.surfaces.openai.errors import TokenLimitReached
from cloudyard.surfaces.openai.policy import MINUTE, SURFACE, TOKENS, TOKENS_RULE, token_headers
from cloudyard.web.policy import Header

CHARACTERS_PER_TOKEN = 4

Request = ChatRequest | CompletionRequest | EmbeddingRequest


@dataclass(frozen=True, slots=True)
class TokensTaken:
    """What a call took from its caller's tokens; `headers` tell what is left."""

    key: str
    limit: Limit
    tokens: int
    headers: Sequence[Header]


class TokenLimits:
    """The tokens a minute of each caller: what the API key says, else what the surface allows a user.

    Without a store nothing is limited.
    """

    def __init__(self, store: LimitStore | None, catalogue: Catalogue, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._metrics = metrics

    async def take(self, principal: Principal, request: Request) -> TokensTaken | None:
        """Take what the call is expected to use. Raises `TokenLimitReached`, or `ModelNotFound`."""
        if self._store is None:
            return None
        key, limit = _limit_of(principal)
        tokens = estimate(request, self._catalogue.find(request.model))
        verdict = await self._store.take(key, limit, tokens)
        if not verdict.allowed:
            self._metrics.rate_limited(SURFACE, TOKENS_RULE)
            raise _refusal(limit, tokens, verdict.remaining, verdict.retry_after)
        return TokensTaken(key, limit, tokens, token_headers(verdict, self._clock.now().timestamp()))

    async def make_up(self, taken: TokensTaken | None, answer: Answer) -> None:
        """Take what the call used beyond its estimate, as far as there is any left."""
        if self._store is None or taken is None or answer.usage.total <= taken.tokens:
            return
        left = (await self._store.peek(taken.key, taken.limit)).remaining
        if left:
            await self._store.take(taken.key, taken.limit, min(answer.usage.total - taken.tokens, left))


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


def _limit_of(principal: Principal) -> tuple[str, Limit]:
    key = principal.api_key
    if key is None or key.tokens_per_minute is None:
        return f"{SURFACE}:{TOKENS_RULE}:user:{principal.user_id}", TOKENS
    return f"api-key:{key.id}:tokens", Limit(key.tokens_per_minute, MINUTE)


def _refusal(limit: Limit, tokens: int, remaining: int, retry_after: int) -> TokenLimitReached:
    asked = f"this call needs about {tokens}, {remaining} of {limit.amount} a minute are left"
    if tokens > limit.amount:
        return TokenLimitReached(f"Request too large for the token limit: {asked}. Send less or lower `max_tokens`.")
    return TokenLimitReached(
        f"Rate limit reached for tokens: {asked}. Try again in {retry_after} seconds.",
        retry_after=retry_after,
    )
