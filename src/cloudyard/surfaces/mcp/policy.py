"""What is particular to the Model Context Protocol: its place and its limit."""

from cloudyard.foundation.limiting import Limit
from cloudyard.web.policy import LimitRule, SurfacePolicy, draft_ratelimit_headers, under

MINUTE = 60
CALLS = Limit(600, MINUTE)

POLICY = SurfacePolicy(
    name="mcp",
    title="Model Context Protocol",
    prefix="/mcp",
    limits=(LimitRule("calls", CALLS, CALLS, under("/")),),
    limit_headers=draft_ratelimit_headers,
    cors_methods=("GET", "POST", "DELETE", "OPTIONS"),
)
