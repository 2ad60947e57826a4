"""Logs, metrics and traces."""

from cloudyard.foundation.telemetry.context import RequestContext, current_request_id, request_context
from cloudyard.foundation.telemetry.logging import configure_logging
from cloudyard.foundation.telemetry.metrics import Metrics
from cloudyard.foundation.telemetry.tracing import TraceExport, Tracing, configure_tracing, current_trace_id
from cloudyard.foundation.telemetry.traffic import Traffic

__all__ = [
    "Metrics",
    "RequestContext",
    "TraceExport",
    "Tracing",
    "Traffic",
    "configure_logging",
    "configure_tracing",
    "current_request_id",
    "current_trace_id",
    "request_context",
]
