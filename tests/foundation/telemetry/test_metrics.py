from cloudyard.foundation.telemetry import Metrics
from cloudyard.foundation.telemetry.metrics import OTHER, BoundedLabel


def text_of(metrics: Metrics) -> str:
    return metrics.render()[0].decode()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_requests_are_counted_by_surface_route_method_and_class_of_status() -> None:
    metrics = Metrics()
    for status in (200, 201, 404):
        metrics.http_request("pynode", "/api/files/{id}", "GET", status, 0.02)
    where = {"surface": "pynode", "route": "/api/files/{id}", "method": "GET"}
    assert value(metrics, "cloudyard_http_requests_total", **where, status="2xx") == 2
    assert value(metrics, "cloudyard_http_requests_total", **where, status="4xx") == 1
    assert value(metrics, "cloudyard_http_request_duration_seconds_count", **where) == 3


def test_a_made_up_method_does_not_make_a_label() -> None:
    metrics = Metrics()
    metrics.http_request("pynode", "/x", "BREW", 405, 0.01)
    assert "BREW" not in text_of(metrics)
    labels = {"surface": "pynode", "route": "/x", "method": OTHER, "status": "4xx"}
    assert value(metrics, "cloudyard_http_requests_total", **labels) == 1


def test_labels_stop_growing() -> None:
    label = BoundedLabel(2)
    assert [label(v) for v in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]


def test_inference_is_counted_under_the_conventions_names() -> None:
    metrics = Metrics()
    metrics.inference("chat", "smollm2-135m", "completed", 1.5)
    metrics.inference_tokens("smollm2-135m", 15, 50)
    metrics.time_to_first_token("chat", "smollm2-135m", 0.2)
    of_model = {"gen_ai_response_model": "smollm2-135m"}
    operation = {"gen_ai_operation_name": "chat"}
    requests = "cloudyard_inference_requests_total"
    assert value(metrics, requests, **of_model, **operation, outcome="completed") == 1
    assert value(metrics, "gen_ai_server_request_duration_seconds_sum", **of_model, **operation) == 1.5
    assert value(metrics, "gen_ai_server_time_to_first_token_seconds_count", **of_model, **operation) == 1
    assert value(metrics, "cloudyard_inference_tokens_total", **of_model, gen_ai_token_type="input") == 15
    assert value(metrics, "cloudyard_inference_tokens_total", **of_model, gen_ai_token_type="output") == 50


def test_money_workers_holds_and_queues_are_shown() -> None:
    metrics = Metrics()
    metrics.charge("captured", 2_500_000)
    metrics.ledger_group(8)
    metrics.watch_holds_open(lambda: 7)
    metrics.outbox_pending(3)
    metrics.worker_state("m", "ready", ("starting", "ready"))
    metrics.rate_limited("pynode", "api")
    assert value(metrics, "cloudyard_charges_total", outcome="captured") == 1
    assert value(metrics, "cloudyard_charged_usd_total") == 0.0025
    assert value(metrics, "cloudyard_ledger_group_size_sum") == 8
    assert value(metrics, "cloudyard_holds_open") == 7
    assert value(metrics, "cloudyard_outbox_pending") == 3
    assert value(metrics, "cloudyard_model_worker_state", model="m", state="ready") == 1
    assert value(metrics, "cloudyard_model_worker_state", model="m", state="starting") == 0
    assert value(metrics, "cloudyard_rate_limited_total", surface="pynode", rule="api") == 1


def test_the_format_is_the_one_that_was_asked_for() -> None:
    metrics = Metrics()
    body, content_type = metrics.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert metrics.render("*/*")[1].startswith("text/plain")


def test_two_servers_in_one_process_do_not_share_counts() -> None:
    first, second = Metrics(), Metrics()
    first.outbox_pending(5)
    assert value(second, "cloudyard_outbox_pending") == 0
