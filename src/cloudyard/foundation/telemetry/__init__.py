"""Logs, metrics and traces."""

from cloudyard.foundation.telemetry.context import RequestContext, current_request_id, request_context
from cloudyard.foundation.telemetry.logging import configure_logging
from cloudyard.foundation.telemetry.metrics import Metrics
from cloudyard.foundation.telemetry.tracing import TraceExport, Tracing, configure_tracing, current_trace_id

__all__ = [
    "Metrics",
    "RequestContext",
    "TraceExport",
    "Tracing",
    "configure_logging",
    "configure_tracing",
    "current_request_id",
    "current_trace_id",
    "request_context",
]
