"""Traces: the OpenTelemetry API everywhere, the SDK only where a collector is configured.

Without a collector no span is recorded, but a caller's W3C `traceparent` still reaches what we call.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import (
    NoOpTracerProvider,
    Span,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from cloudyard.foundation.errors import DomainError, ErrorKind, FeatureUnavailable
from cloudyard.foundation.settings.telemetry import TelemetrySettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider

SCOPE = "cloudyard"
TRACES_PATH = "/v1/traces"
SERVER_FAULTS = frozenset({ErrorKind.INTERNAL, ErrorKind.UNAVAILABLE, ErrorKind.UPSTREAM, ErrorKind.TIMEOUT})

_propagator = TraceContextTextMapPropagator()


class Tracing:
    """Opens spans and carries trace context in and out."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self.enabled = provider is not None
        self._tracer = (provider or NoOpTracerProvider()).get_tracer(SCOPE)

    @contextmanager
    def serving(
        self, name: str, headers: Mapping[str, str], attributes: Mapping[str, AttributeValue]
    ) -> Iterator[Span]:
        """The span around an incoming request, child of the caller's `traceparent` when there is one."""
        parent = _propagator.extract(headers)
        with self._open(name, SpanKind.SERVER, parent, attributes) as span:
            yield span

    @contextmanager
    def span(
        self, name: str, attributes: Mapping[str, AttributeValue] | None = None, *, kind: SpanKind = SpanKind.INTERNAL
    ) -> Iterator[Span]:
        """A span below the current one; an error that passes through is recorded in it."""
        with self._open(name, kind, None, attributes or {}) as span:
            yield span

    def outgoing_headers(self) -> dict[str, str]:
        """Headers that carry the current trace to what we call; empty outside of a trace."""
        headers: dict[str, str] = {}
        _propagator.inject(headers)
        return headers

    @contextmanager
    def _open(
        self, name: str, kind: SpanKind, parent: Context | None, attributes: Mapping[str, AttributeValue]
    ) -> Iterator[Span]:
        span = self._tracer.start_span(name, context=parent, kind=kind, attributes=attributes)
        token = otel_context.attach(set_span_in_context(span, parent))
        try:
            yield span
        except Exception as error:
            record_error(span, error)
            raise
        finally:
            span.end()
            otel_context.detach(token)


def record_error(span: Span, error: Exception) -> None:
    """Mark a span with an error. What a caller did wrong is an attribute; what we did is a failure too."""
    if not span.is_recording():
        return
    if isinstance(error, DomainError):
        span.set_attribute("error.type", error.code)
        if error.kind in SERVER_FAULTS:
            span.set_status(Status(StatusCode.ERROR, str(error)))
        return
    span.set_attribute("error.type", type(error).__name__)
    span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, str(error)))


def current_trace_id() -> str | None:
    """The id of the current trace in hexadecimal, or None outside of one."""
    context = get_current_span().get_span_context()
    return format_trace_id(context.trace_id) if context.is_valid else None


class TraceExport:
    """Sends spans to the collector that the settings name; to be closed at the end, so that none is lost."""

    def __init__(self, provider: "SdkTracerProvider | None") -> None:
        self._provider = provider
        self.tracing = Tracing(provider)

    def close(self) -> None:
        """Send what is left."""
        if self._provider is not None:
            self._provider.shutdown()


def configure_tracing(settings: TelemetrySettings, version: str) -> TraceExport:
    """Set up tracing. Raises `FeatureUnavailable` if a collector is set and the `telemetry` extra is missing."""
    if settings.otlp_endpoint is None:
        return TraceExport(None)
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise FeatureUnavailable(
            f"telemetry.otlp_endpoint is set, but the OpenTelemetry SDK is not installed ({error}). "
            "Install the extra: pip install 'cloudyard[telemetry]', or unset telemetry.otlp_endpoint."
        ) from error
    resource = Resource.create({"service.name": SCOPE, "service.version": version})
    provider = SdkTracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=_traces_url(settings.otlp_endpoint))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return TraceExport(provider)


def _traces_url(endpoint: str) -> str:
    base = endpoint.rstrip("/")
    return base if base.endswith(TRACES_PATH) else base + TRACES_PATH
