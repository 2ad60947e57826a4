"""What is particular to Smart AI Hub: its place, its four groups of limits, its headers (document, Rate Limiting)."""

from cloudyard.foundation.limiting import Limit
from cloudyard.web.documents import DocumentPaths
from cloudyard.web.policy import KeyedBy, LimitRule, SurfacePolicy, exactly, under

MINUTE = 60

AUTHENTICATION = Limit(10, MINUTE)
MCP = Limit(60, MINUTE)
ADMIN = Limit(200, MINUTE)
GENERAL = Limit(100, MINUTE)

LIVE_PATH = "/ws"
PASSWORD_PATH = "/api/users/me/password"  # noqa: S105 - a route

DOCUMENTS = DocumentPaths()

POLICY = SurfacePolicy(
    name="aihub",
    title="Smart AI Hub API",
    prefix="/aihub",
    classic_port=3003,
    limits=(
        LimitRule("authentication", AUTHENTICATION, AUTHENTICATION, under("/api/auth/"), KeyedBy.ADDRESS),
        LimitRule("mcp", MCP, MCP, under("/api/mcp/")),
        LimitRule("admin", ADMIN, ADMIN, under("/api/admin/")),
        LimitRule("general", GENERAL, GENERAL, under("/api/", LIVE_PATH)),
    ),
    ungated=under(*DOCUMENTS.all()),
    guarded=exactly("PUT", PASSWORD_PATH),
)
