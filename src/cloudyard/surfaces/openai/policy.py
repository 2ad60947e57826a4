"""What is particular to the OpenAI surface: its place, limits and headers.

The surface's own limits only keep one caller from starving the others; API keys carry the limits that a team sets.
"""

from collections.abc import Sequence

from cloudyard.foundation.limiting import Limit, Verdict
from cloudyard.web.documents import DocumentPaths
from cloudyard.web.policy import EXPOSED_HEADERS, Header, LimitRule, SurfacePolicy, Taken, exactly, under

SURFACE = "openai"
MINUTE = 60

REQUESTS = Limit(300_000, MINUTE)
ANONYMOUS_REQUESTS = Limit(600, MINUTE)
TOKENS = Limit(60_000_000, MINUTE)

DOCUMENTS = DocumentPaths()
FILES_PATH = "/files"

EXPOSED = (
    "OpenAI-Processing-MS",
    "X-Cloudyard-Model",
    "Idempotency-Replayed",
    *(f"X-RateLimit-{what}-{unit}" for what in ("Limit", "Remaining", "Reset") for unit in ("Requests", "Tokens")),
)


def request_headers(taken: Sequence[Taken], now: float) -> list[Header]:
    """`x-ratelimit-*-requests` of the limit that has the least left."""
    return _headers(b"requests", min((each.verdict for each in taken), key=_left), now)


def token_headers(verdict: Verdict, now: float) -> list[Header]:
    """`x-ratelimit-*-tokens`."""
    return _headers(b"tokens", verdict, now)


def duration(seconds: int) -> str:
    """A time span as OpenAI writes it: `1s`, `6m0s`, `1h0m0s`."""
    minutes, rest = divmod(max(0, seconds), 60)
    if not minutes:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s"


def _left(verdict: Verdict) -> int:
    return verdict.remaining if verdict.allowed else -1


def _headers(unit: bytes, verdict: Verdict, now: float) -> list[Header]:
    return [
        (b"x-ratelimit-limit-" + unit, b"%d" % verdict.limit),
        (b"x-ratelimit-remaining-" + unit, b"%d" % verdict.remaining),
        (b"x-ratelimit-reset-" + unit, duration(int(verdict.reset_at - now)).encode()),
    ]


POLICY = SurfacePolicy(
    name=SURFACE,
    title="Cloudyard OpenAI API",
    prefix="/v1",
    limits=(LimitRule("requests", REQUESTS, ANONYMOUS_REQUESTS, under("/")),),
    limit_headers=request_headers,
    tokens=TOKENS,
    ungated=under(*DOCUMENTS.all()),
    streams_body=exactly("POST", FILES_PATH),
    cors_exposed_headers=(*EXPOSED_HEADERS, *EXPOSED),
)
