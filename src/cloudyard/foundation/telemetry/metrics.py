"""Prometheus metrics: every instrument in one place, in base units, with labels that cannot grow without bound."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.samples import Sample

from cloudyard.foundation.telemetry import genai

WEBSOCKET = "WEBSOCKET"
HTTP_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", WEBSOCKET})
OTHER = "other"
FAILED = "5xx"
MOST_VALUES = 200

HTTP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
GROUP_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class BoundedLabel:
    """Passes on the first values it sees and calls every later one `other`."""

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._most = most
        self._seen: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._seen:
            return value
        if len(self._seen) >= self._most:
            return OTHER
        self._seen.add(value)
        return value


class Metrics:
    """The instruments of one server. Each owner has its own registry, so that tests never share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._http = HttpMetrics(self.registry)
        self._inference = InferenceMetrics(self.registry)
        self._models = BoundedLabel()
        self._limited = self._counter("cloudyard_rate_limited", "Calls refused by a rate limit.", "surface", "rule")
        self._charges = self._counter("cloudyard_charges", "Charges that were ended, by how.", "outcome")
        self._charged = self._counter("cloudyard_charged_usd", "Dollars charged.")
        self._holds = self._gauge("cloudyard_holds_open", "Charges that this process has open.")
        self._outbox = self._gauge("cloudyard_outbox_pending", "Event deliveries that are waiting.")
        self._workers = self._gauge(
            "cloudyard_model_worker_state", "1 for the state that a model's worker is in.", "model", "state"
        )
        self._groups = Histogram(
            "cloudyard_ledger_group_size",
            "Ledger commands written in one transaction.",
            buckets=GROUP_SIZES,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def http_request(self, surface: str, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request. `route` is the template, never the path."""
        self._http.record(surface, route, method, status, seconds)

    def http_totals(self) -> "HttpTotals":
        """Everything answered since the process started."""
        return self._http.totals()

    def rate_limited(self, surface: str, rule: str) -> None:
        """Count a call that a limit refused."""
        self._limited.labels(surface, rule).inc()

    def inference(self, operation: str, model: str, outcome: str, seconds: float) -> None:
        """Count an inference call. `model` is the catalogue name that served, `outcome` e.g. completed."""
        self._inference.call(operation, self._models(model), outcome, seconds)

    def inference_tokens(self, model: str, prompt: int, completion: int) -> None:
        """Count tokens read and written by a served model."""
        self._inference.tokens(self._models(model), prompt, completion)

    def time_to_first_token(self, operation: str, model: str, seconds: float) -> None:
        """Record how long a stream's first token took."""
        self._inference.first_token(operation, self._models(model), seconds)

    def charge(self, outcome: str, nanos: int) -> None:
        """Count a charge that was ended: captured, released, expired, refused."""
        self._charges.labels(outcome).inc()
        self._charged.inc(nanos / 1e9)

    def watch_holds_open(self, read: Callable[[], float]) -> None:
        """Read the number of open holds whenever metrics are asked for."""
        self._holds.set_function(read)

    def ledger_group(self, size: int) -> None:
        """Record how many commands one ledger transaction carried."""
        self._groups.observe(size)

    def outbox_pending(self, deliveries: int) -> None:
        """Set how many deliveries wait."""
        self._outbox.set(deliveries)

    def worker_state(self, model: str, state: str, states: tuple[str, ...]) -> None:
        """Say which of its possible states a model's worker is in."""
        label = self._models(model)
        for each in states:
            self._workers.labels(label, each).set(each == state)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics as text, and its content type, in the format that the Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(name, help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(name, help_text, labels, registry=self.registry)


@dataclass(frozen=True, slots=True)
class HttpTotals:
    """Answered requests, those of them that failed by our fault, and the seconds that all took together."""

    requests: int
    failed: int
    seconds: float


class HttpMetrics:
    """Requests by surface, route template, method and class of status."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("surface", "route", "method")
        self._requests = Counter(
            "cloudyard_http_requests", "Answered requests.", (*labels, "status"), registry=registry
        )
        self._seconds = Histogram(
            "cloudyard_http_request_duration_seconds",
            "Time from the request's head to the answer's end.",
            labels,
            buckets=HTTP_SECONDS,
            registry=registry,
        )
        self._routes = BoundedLabel()
        # Looking children up by label values costs more than counting does.
        self._children: dict[tuple[str, str, str, int], tuple[Counter, Histogram]] = {}

    def record(self, surface: str, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request."""
        key = (surface, route, method, status // 100)
        children = self._children.get(key)
        if children is None:
            children = self._resolve(*key)
        children[0].inc()
        children[1].observe(seconds)

    def totals(self) -> HttpTotals:
        """The sums over all labels. WebSockets are left out: how long one stays open says nothing of our speed."""
        answered = _requests(self._requests, "_total")
        failed = [sample for sample in answered if sample.labels["status"] == FAILED]
        seconds = sum(sample.value for sample in _requests(self._seconds, "_sum"))
        return HttpTotals(int(sum(s.value for s in answered)), int(sum(s.value for s in failed)), seconds)

    def _resolve(self, surface: str, route: str, method: str, status_class: int) -> tuple[Counter, Histogram]:
        known_route = self._routes(route)
        known_method = method if method in HTTP_METHODS else OTHER
        children = (
            self._requests.labels(surface, known_route, known_method, f"{status_class}xx"),
            self._seconds.labels(surface, known_route, known_method),
        )
        if (known_route, known_method) == (route, method):
            self._children[surface, route, method, status_class] = children
        return children


def _requests(metric: Counter | Histogram, suffix: str) -> list[Sample]:
    """The samples of a metric that are about requests."""
    found = [sample for family in metric.collect() for sample in family.samples if sample.name.endswith(suffix)]
    return [sample for sample in found if sample.labels["method"] != WEBSOCKET]


class InferenceMetrics:
    """Inference by operation, served model and outcome, under the GenAI convention's names where it has one."""

    def __init__(self, registry: CollectorRegistry) -> None:
        operation, model = genai.label(genai.OPERATION_NAME), genai.label(genai.RESPONSE_MODEL)
        self._calls = Counter(
            "cloudyard_inference_requests", "Inference calls.", (operation, model, "outcome"), registry=registry
        )
        self._tokens = Counter(
            "cloudyard_inference_tokens", "Tokens.", (model, genai.label(genai.TOKEN_TYPE)), registry=registry
        )
        self._seconds = Histogram(
            genai.label(genai.SERVER_REQUEST_DURATION) + "_seconds",
            "Time that an inference call took.",
            (operation, model),
            buckets=genai.REQUEST_DURATION_BUCKETS,
            registry=registry,
        )
        self._first_token = Histogram(
            genai.label(genai.SERVER_TIME_TO_FIRST_TOKEN) + "_seconds",
            "Time until a call's first token.",
            (operation, model),
            buckets=genai.TIME_TO_FIRST_TOKEN_BUCKETS,
            registry=registry,
        )

        # Looking children up by label values costs more than counting does.
        self._counted = lru_cache(MOST_VALUES)(self._calls.labels)
        self._timed = lru_cache(MOST_VALUES)(self._seconds.labels)
        self._spent = lru_cache(MOST_VALUES)(self._tokens.labels)

    def call(self, operation: str, model: str, outcome: str, seconds: float) -> None:
        """Count one call."""
        self._counted(operation, model, outcome).inc()
        self._timed(operation, model).observe(seconds)

    def tokens(self, model: str, prompt: int, completion: int) -> None:
        """Count tokens."""
        self._spent(model, genai.TOKEN_INPUT).inc(prompt)
        self._spent(model, genai.TOKEN_OUTPUT).inc(completion)

    def first_token(self, operation: str, model: str, seconds: float) -> None:
        """Record one first token."""
        self._first_token.labels(operation, model).observe(seconds)
