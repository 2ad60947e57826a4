"""What is particular to the authorization server: its places, and limits against whoever guesses or floods."""

from cloudyard.foundation.limiting import Limit
from cloudyard.web.policy import KeyedBy, LimitRule, SurfacePolicy, draft_ratelimit_headers, exactly, under

AUTHORIZE = "/authorize"
TOKEN = "/token"  # noqa: S105 - a path
REGISTER = "/register"
REVOKE = "/revoke"

MINUTE = 60
LOGINS = Limit(10, MINUTE)
REGISTRATIONS = Limit(30, 60 * MINUTE)
CALLS = Limit(120, MINUTE)
MOST_BODY_BYTES = 16 * 1024

POLICY = SurfacePolicy(
    name="oauth",
    title="Authorization server",
    prefix="/oauth",
    limits=(
        LimitRule("logins", LOGINS, LOGINS, exactly("POST", AUTHORIZE), KeyedBy.ADDRESS),
        LimitRule("registrations", REGISTRATIONS, REGISTRATIONS, under(REGISTER), KeyedBy.ADDRESS),
        LimitRule("calls", CALLS, CALLS, under("/"), KeyedBy.ADDRESS),
    ),
    limit_headers=draft_ratelimit_headers,
    # With `no-referrer` browsers would hide where a form comes from, and ours could not be told from a forged one.
    referrer_policy="same-origin",
    cors_methods=("GET", "POST", "OPTIONS"),
)

WELL_KNOWN_POLICY = SurfacePolicy(
    name="well_known",
    title="Metadata of the authorization server",
    prefix="/.well-known",
    limits=(LimitRule("calls", CALLS, CALLS, under("/"), KeyedBy.ADDRESS),),
    limit_headers=draft_ratelimit_headers,
    cors_methods=("GET", "OPTIONS"),
)
