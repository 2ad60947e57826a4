"""Metrics and traces of inference calls."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Self

from opentelemetry.trace import Span, SpanKind

from cloudyard.domains.billing import UsageOutcome
from cloudyard.domains.inference.preparation import Call
from cloudyard.domains.inference.records import Answer, CallContext
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.errors import DomainError
from cloudyard.foundation.telemetry import Metrics, Tracing, genai

FAILED = "failed"


class Observed:
    """One call being watched."""

    def __init__(self, call: Call, metrics: Metrics, clock: Clock, span: Span | None) -> None:
        self._call = call
        self._metrics = metrics
        self._clock = clock
        self._span = span
        self._started = clock.monotonic()
        self._first_token_after: float | None = None
        self.outcome = FAILED

    def first_token(self) -> None:
        """The first piece of a stream has come."""
        self._first_token_after = self._elapsed()
        self._metrics.time_to_first_token(self._call.operation, self._call.model.name, self._first_token_after)

    def answered(self, answer: Answer, outcome: UsageOutcome = UsageOutcome.COMPLETED) -> None:
        """The call was settled."""
        self.outcome = outcome.value
        self._metrics.inference_tokens(answer.served_by, answer.usage.prompt, answer.usage.completion)
        self._metrics.charge("captured", answer.cost_nanos)
        if self._span is not None:
            genai.record_answer(
                self._span,
                model=answer.served_by,
                input_tokens=answer.usage.prompt,
                output_tokens=answer.usage.completion,
                response_id=answer.body.get("id"),
                seconds_to_first_chunk=self._first_token_after,
            )

    def __enter__(self) -> Self:
        """The call begins."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """The call is over, however it ended."""
        if error is not None and self.outcome == FAILED:
            self.outcome = _outcome_of(error)
        self._metrics.inference(self._call.operation, self._call.model.name, self.outcome, self._elapsed())

    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._started


class Observer:
    """Watches calls."""

    def __init__(self, metrics: Metrics, tracing: Tracing, clock: Clock, *, capture_content: bool) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._clock = clock
        self._capture_content = capture_content

    def call(self, call: Call, context: CallContext, *, stream: bool = False) -> AbstractContextManager[Observed]:
        """Watch one call from its beginning to its end."""
        if not self._tracing.enabled:
            return Observed(call, self._metrics, self._clock, None)
        return self._traced(call, context, stream=stream)

    @contextmanager
    def _traced(self, call: Call, context: CallContext, *, stream: bool) -> Iterator[Observed]:
        name = genai.span_name(call.operation, call.requested_model)
        attributes = genai.request_attributes(call.operation, call.model.provider, call.requested_model, stream=stream)
        with self._tracing.span(name, attributes, kind=SpanKind.CLIENT) as span:
            span.set_attribute("cloudyard.surface", context.surface)
            if self._capture_content:
                span.set_attribute(genai.INPUT_MESSAGES, call.prompt_text)
            with Observed(call, self._metrics, self._clock, span) as observed:
                yield observed


def _outcome_of(error: BaseException) -> str:
    if isinstance(error, DomainError):
        return error.code
    if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        return UsageOutcome.CLIENT_LEFT.value
    return FAILED
