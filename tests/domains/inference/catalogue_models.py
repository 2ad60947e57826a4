"""Models of the catalogue, for tests that need no server."""

from datetime import UTC, datetime

from cloudyard.domains.inference import Deployment, Endpoint, Model, ModelKind


def a_model(kind: ModelKind = ModelKind.CHAT) -> Model:
    there = Deployment("m", "there", "m", 1, 4, 10.0, endpoint=Endpoint("http://127.0.0.1:1/v1"))
    capabilities = frozenset({"text", "tools"})
    return Model("m", kind, "", "", 10_000, 100, capabilities, 4, (there,), datetime(2026, 1, 1, tzinfo=UTC))
