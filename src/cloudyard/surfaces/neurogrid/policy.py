"""What is particular to NeuroGrid: its place, limits and headers (document, Security Features)."""

from cloudyard.foundation.limiting import Limit
from cloudyard.web.documents import DocumentPaths
from cloudyard.web.policy import KeyedBy, LimitRule, SurfacePolicy, exactly, under

LOGIN = Limit(5, 15 * 60)
REGISTRATION = Limit(3, 60 * 60)
REQUESTS = Limit(100, 60)

SESSION_COOKIE = "session"

DOCUMENTS = DocumentPaths(page="/api-docs", json="/api-docs.json", yaml=None)

POLICY = SurfacePolicy(
    name="neurogrid",
    title="NeuroGrid API",
    prefix="/neurogrid",
    classic_port=3001,
    limits=(
        LimitRule("login", LOGIN, LOGIN, exactly("POST", "/api/auth/login"), KeyedBy.ADDRESS),
        LimitRule("registration", REGISTRATION, REGISTRATION, exactly("POST", "/api/auth/register"), KeyedBy.ADDRESS),
        LimitRule("api", REQUESTS, REQUESTS, under("/api/")),
    ),
    ungated=under(*DOCUMENTS.all()),
    session_cookie=SESSION_COOKIE,
    hsts_on_http=True,
)
