"""What is particular to Dev-PyNode (pynode.md: Rate Limiting, Interactive Documentation, Health & Status)."""

from cloudyard.foundation.limiting import Limit
from cloudyard.web.documents import DocumentPaths
from cloudyard.web.policy import LimitRule, SurfacePolicy, exactly, under

QUARTER_HOUR = 15 * 60

DOCUMENTS = DocumentPaths(page="/docs", json="/openapi.json", yaml="/openapi.yaml")
HEALTH_PATH = "/health"
READY_PATH = "/ready"
METRICS_PATH = "/metrics"
UPLOAD_PATH = "/api/files/upload"
WEBSOCKET_PATH = "/ws"
AUTHENTICATION_PATH = "/api/auth/"

POLICY = SurfacePolicy(
    name="pynode",
    title="Dev-PyNode API",
    prefix="/pynode",
    version="1.0.0",
    classic_port=3000,
    limits=(LimitRule("api", Limit(100, QUARTER_HOUR), Limit(10, QUARTER_HOUR), under("/api/", WEBSOCKET_PATH)),),
    ungated=under(HEALTH_PATH, METRICS_PATH, *DOCUMENTS.all()),
    guarded=under(AUTHENTICATION_PATH),
    streams_body=exactly("POST", UPLOAD_PATH),
)
