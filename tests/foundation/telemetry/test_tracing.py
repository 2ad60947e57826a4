import builtins
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cloudyard.foundation.errors import DomainError, ErrorKind, FeatureUnavailable, InvalidInput
from cloudyard.foundation.settings.telemetry import TelemetrySettings
from cloudyard.foundation.telemetry import Tracing, configure_tracing, current_trace_id, genai

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"


class Collector:
    """A real OTLP/HTTP endpoint on loopback."""

    def __init__(self) -> None:
        received: list[tuple[str, bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append((self.path, body))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.received = received
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self) -> dict[str, dict[str, object]]:
        found = {}
        for _, body in self.received:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        found[span.name] = {
                            "trace_id": span.trace_id.hex(),
                            "span_id": span.span_id.hex(),
                            "parent": span.parent_span_id.hex(),
                            "attributes": {a.key: a.value for a in span.attributes},
                            "failed": span.status.code == 2,
                        }
        return found

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def test_without_a_collector_the_callers_trace_still_passes_through() -> None:
    tracing = Tracing()
    assert not tracing.enabled
    assert tracing.outgoing_headers() == {}
    with tracing.serving("GET /x", {"traceparent": TRACEPARENT}, {}):
        assert current_trace_id() == TRACE_ID
        assert tracing.outgoing_headers()["traceparent"] == TRACEPARENT
    assert current_trace_id() is None


@pytest.mark.parametrize("header", ["", "garbage", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 5000])
def test_a_bad_traceparent_is_no_trace(header: str) -> None:
    with Tracing().serving("GET /x", {"traceparent": header}, {}):
        assert current_trace_id() is None


def test_spans_reach_the_collector_below_the_callers_trace(collector: Collector) -> None:
    export = configure_tracing(TelemetrySettings(otlp_endpoint=collector.url), "1.2.3")
    with export.tracing.serving("POST /chat", {"traceparent": TRACEPARENT}, {"http.request.method": "POST"}):
        attributes = genai.request_attributes(genai.CHAT, "local", "gpt-4", stream=False)
        with export.tracing.span(genai.span_name(genai.CHAT, "gpt-4"), attributes) as span:
            genai.record_answer(
                span, model="smollm2-135m", input_tokens=3, output_tokens=5, finish_reasons=["stop"], response_id="c-1"
            )
            outgoing = export.tracing.outgoing_headers()["traceparent"]
    export.close()

    assert {path for path, _ in collector.received} == {"/v1/traces"}
    spans = collector.spans()
    server, inference = spans["POST /chat"], spans["chat gpt-4"]
    assert server["trace_id"] == inference["trace_id"] == TRACE_ID
    assert server["parent"] == "b7ad6b7169203331"
    assert inference["parent"] == server["span_id"]
    assert outgoing == f"00-{TRACE_ID}-{inference['span_id']}-01"
    attributes = inference["attributes"]
    assert attributes["gen_ai.operation.name"].string_value == "chat"
    assert attributes["gen_ai.provider.name"].string_value == "local"
    assert attributes["gen_ai.request.model"].string_value == "gpt-4"
    assert attributes["gen_ai.response.model"].string_value == "smollm2-135m"
    assert attributes["gen_ai.usage.input_tokens"].int_value == 3
    assert attributes["gen_ai.usage.output_tokens"].int_value == 5


class Broken(DomainError):
    code = "broken"
    kind = ErrorKind.UPSTREAM


@pytest.mark.parametrize(
    ("error", "failed", "type_name"),
    [
        (InvalidInput("no"), False, "invalid_input"),
        (Broken("down"), True, "broken"),
        (ValueError("bug"), True, "ValueError"),
    ],
)
def test_only_what_we_did_wrong_is_a_failed_span(
    collector: Collector, error: Exception, failed: bool, type_name: str
) -> None:
    export = configure_tracing(TelemetrySettings(otlp_endpoint=collector.url + "/v1/traces"), "1")
    with pytest.raises(type(error)), export.tracing.span("work"):
        raise error
    export.close()
    span = collector.spans()["work"]
    assert span["failed"] is failed
    assert span["attributes"]["error.type"].string_value == type_name


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_sdk(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("opentelemetry.exporter"):
            raise ImportError(f"No module named {name!r}")
        return real_import(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_sdk)
    with pytest.raises(FeatureUnavailable, match=r"cloudyard\[telemetry\]"):
        configure_tracing(TelemetrySettings(otlp_endpoint="http://127.0.0.1:1"), "1")
