from datetime import UTC, datetime

from cloudyard.backends.limits.memory import MemoryLimits
from cloudyard.foundation.limiting import Limit, Verdict
from cloudyard.testing.clock import ManualClock
from cloudyard.web.policy import (
    LimitRule,
    SurfacePolicy,
    Taken,
    draft_ratelimit_headers,
    exactly,
    paths,
    under,
    x_ratelimit_headers,
)

HUNDRED = Limit(100, 900)


def test_the_first_rule_that_matches_holds() -> None:
    login = LimitRule("login", HUNDRED, HUNDRED, exactly("POST", "/api/auth/login"))
    api = LimitRule("api", HUNDRED, HUNDRED, under("/api/"))
    policy = SurfacePolicy(name="s", title="S", prefix="/s", limits=(login, api))
    assert policy.rule("POST", "/api/auth/login") is login
    assert policy.rule("GET", "/api/auth/login") is api
    assert policy.rule("GET", "/health") is None


def test_matchers() -> None:
    assert paths("/a", "/b")("PUT", "/b")
    assert not paths("/a")("GET", "/a/b")
    assert under("/a/", "/b")("GET", "/b/c")


def test_limit_headers_are_the_documents_and_the_drafts() -> None:
    taken = [
        Taken("api", HUNDRED, Verdict(True, 100, 95, reset_at=1_642_248_000, retry_after=0)),
        Taken("api-key", Limit(5, 60), Verdict(True, 5, 4, reset_at=1_642_247_000, retry_after=0)),
    ]
    headers = dict(x_ratelimit_headers(taken, now=1_642_247_940.7))
    assert headers[b"x-ratelimit-limit"] == b"100"
    assert headers[b"x-ratelimit-remaining"] == b"95"
    assert headers[b"x-ratelimit-reset"] == b"1642248000"
    draft = dict(draft_ratelimit_headers(taken, now=1_642_247_940.7))
    assert draft[b"ratelimit-policy"] == b'"api";q=100;w=900, "api-key";q=5;w=60'
    assert draft[b"ratelimit"] == b'"api";r=95;t=60, "api-key";r=4;t=0'


async def test_no_limit_resets_later_than_its_window_lasts() -> None:
    clock = ManualClock(datetime(2026, 1, 1, 0, 0, 0, 700_000, tzinfo=UTC))
    limit = Limit(5, 60)
    verdict = await MemoryLimits(clock).take("key", limit)
    taken, now = [Taken("api", limit, verdict)], clock.now().timestamp()
    headers = dict(x_ratelimit_headers(taken, now))
    assert headers[b"ratelimit"] == b'"api";r=4;t=60'
    assert int(headers[b"x-ratelimit-reset"]) >= now + 60


def test_hsts_is_sent_over_https_only() -> None:
    policy = SurfacePolicy(name="s", title="S", prefix="/s")
    assert b"strict-transport-security" not in dict(policy.security_headers(https=False))
    assert dict(policy.security_headers(https=True))[b"strict-transport-security"].startswith(b"max-age=31536000")


def test_hsts_goes_out_by_http_only_where_the_contract_shows_it() -> None:
    name = b"strict-transport-security"
    for policy, by_http in (
        (SurfacePolicy(name="p", title="P", prefix="/p"), False),
        (SurfacePolicy(name="p", title="P", prefix="/p", hsts_on_http=True), True),
    ):
        assert (name in dict(policy.security_headers(https=False))) is by_http
        assert name in dict(policy.security_headers(https=True))
