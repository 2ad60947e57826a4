"""What is particular to a surface, declared and not coded: its place, limits, headers, special paths."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from cloudyard.foundation.limiting import Limit, Verdict

Matcher = Callable[[str, str], bool]
Header = tuple[bytes, bytes]

API_CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"
ALL_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
EXPOSED_HEADERS = (
    "X-Request-ID",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
)
WEBSOCKET = "WEBSOCKET"


class KeyedBy(StrEnum):
    """Whose calls are counted together."""

    CALLER = "caller"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class LimitRule:
    """A limit over a group of routes.

    `matches` gets the method (`WEBSOCKET` for a handshake) and the path below the surface's prefix. Keyed by
    CALLER, a known user is counted by id under `authenticated` and anyone else by address under `anonymous`;
    keyed by ADDRESS, everyone is counted by address, which is what guards a login.
    """

    name: str
    authenticated: Limit
    anonymous: Limit
    matches: Matcher
    keyed_by: KeyedBy = KeyedBy.CALLER


@dataclass(frozen=True, slots=True)
class Taken:
    """One limit that a request was counted under."""

    rule: str
    limit: Limit
    verdict: Verdict


LimitHeaders = Callable[[Sequence[Taken], float], Sequence[Header]]


def under(*prefixes: str) -> Matcher:
    """Every method on every path that begins with one of the prefixes."""
    return lambda _method, path: path.startswith(prefixes)


def exactly(method: str, *paths: str) -> Matcher:
    """One method on the given paths."""
    wanted = frozenset(paths)
    return lambda given, path: given == method and path in wanted


def paths(*given: str) -> Matcher:
    """Every method on the given paths."""
    wanted = frozenset(given)
    return lambda _method, path: path in wanted


def nothing(_method: str, _path: str) -> bool:
    """Matches no request."""
    return False


def x_ratelimit_headers(taken: Sequence[Taken], now: float) -> list[Header]:
    """`X-RateLimit-*` of the surface's own rule as the documents show them, and the IETF draft's fields."""
    verdict = taken[0].verdict
    return [
        (b"x-ratelimit-limit", b"%d" % verdict.limit),
        (b"x-ratelimit-remaining", b"%d" % verdict.remaining),
        (b"x-ratelimit-reset", b"%d" % verdict.reset_at),
        *draft_ratelimit_headers(taken, now),
    ]


def draft_ratelimit_headers(taken: Sequence[Taken], now: float) -> list[Header]:
    """`RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4."""
    policies = ", ".join(f'"{t.rule}";q={t.limit.amount};w={t.limit.seconds}' for t in taken)
    current = ", ".join(f'"{t.rule}";r={t.verdict.remaining};t={_resets_in(t, now)}' for t in taken)
    return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", current.encode())]


def _resets_in(taken: Taken, now: float) -> int:
    """Whole seconds until there is room again. Both times are rounded up, which may come to more than the window."""
    return min(taken.limit.seconds, max(0, ceil(taken.verdict.reset_at - now)))


@dataclass(frozen=True, slots=True)
class SurfacePolicy:
    """How a surface appears. Of its limit rules the first that matches holds.

    - `tokens`: model tokens that a caller may use whose API key has no limit of its own; None for any number.
    - `ungated`: routes that are neither authenticated nor limited (health, documents).
    - `guarded`: routes where a password is tried, which are refused while requests cannot be counted, so that an outage
      helps nobody who guesses. The routes of rules keyed by ADDRESS are, without being named here.
    - `streams_body`: routes that read their body as a stream under a limit of their own (uploads).
    - `hsts_on_http`: whether Strict-Transport-Security goes out by plain http too.
    """

    name: str
    title: str
    prefix: str
    version: str = "1.0.0"
    classic_port: int | None = None
    limits: tuple[LimitRule, ...] = ()
    limit_headers: LimitHeaders = x_ratelimit_headers
    tokens: Limit | None = None
    ungated: Matcher = nothing
    guarded: Matcher = nothing
    streams_body: Matcher = nothing
    session_cookie: str | None = None
    request_id_header: str = "x-request-id"
    content_policy: str = API_CONTENT_POLICY
    frame_options: str = "DENY"
    referrer_policy: str = "no-referrer"
    hsts_seconds: int = 31_536_000
    hsts_on_http: bool = False
    cors_methods: tuple[str, ...] = ALL_METHODS
    cors_exposed_headers: tuple[str, ...] = EXPOSED_HEADERS

    def security_headers(self, *, https: bool) -> tuple[Header, ...]:
        """Headers of every answer but the content policy.

        HSTS goes out by https, as RFC 6797 (section 7.2) has it; by http too, where browsers ignore it
        (section 8.1), only for a contract that shows it on every answer.
        """
        headers = [
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", self.frame_options.encode()),
            (b"referrer-policy", self.referrer_policy.encode()),
        ]
        if https or self.hsts_on_http:
            headers.append((b"strict-transport-security", b"max-age=%d; includeSubDomains" % self.hsts_seconds))
        return tuple(headers)

    def is_guarded(self, method: str, path: str) -> bool:
        """Whether a request is refused while nothing can be counted."""
        rule = self.rule(method, path)
        return self.guarded(method, path) or (rule is not None and rule.keyed_by is KeyedBy.ADDRESS)

    def rule(self, method: str, path: str) -> LimitRule | None:
        """The limit rule that holds for a request, if one does."""
        for rule in self.limits:
            if rule.matches(method, path):
                return rule
        return None
