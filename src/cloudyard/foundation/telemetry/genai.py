"""Names of the OpenTelemetry GenAI semantic conventions: the only module that spells them.

They live in a repository of their own (open-telemetry/semantic-conventions-genai) and are still in development;
these are the ones of mid-2026 (docs/gen-ai/gen-ai-spans.md, gen-ai-metrics.md, docs/registry/attributes/gen-ai.md).
"""

from collections.abc import Sequence
from typing import Final

from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
OUTPUT_TYPE: Final = "gen_ai.output.type"

REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_CHOICE_COUNT: Final = "gen_ai.request.choice.count"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
REQUEST_TOP_P: Final = "gen_ai.request.top_p"
REQUEST_STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
REQUEST_FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
REQUEST_PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"

RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"

USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"

INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"

CHAT: Final = "chat"
TEXT_COMPLETION: Final = "text_completion"
EMBEDDINGS: Final = "embeddings"

TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - a name, no secret
TOKEN_INPUT: Final = "input"  # noqa: S105 - a name, no secret
TOKEN_OUTPUT: Final = "output"  # noqa: S105 - a name, no secret

SERVER_REQUEST_DURATION: Final = "gen_ai.server.request.duration"
SERVER_TIME_TO_FIRST_TOKEN: Final = "gen_ai.server.time_to_first_token"  # noqa: S105 - a name, no secret
REQUEST_DURATION_BUCKETS: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
TIME_TO_FIRST_TOKEN_BUCKETS: Final = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip


def label(name: str) -> str:
    """A convention's name as Prometheus spells it."""
    return name.replace(".", "_")


def span_name(operation: str, model: str) -> str:
    """The name of an inference span."""
    return f"{operation} {model}"


def request_attributes(operation: str, provider: str, model: str, *, stream: bool) -> dict[str, AttributeValue]:
    """What is known when a call to a model begins. `model` is the name that was asked for."""
    return {OPERATION_NAME: operation, PROVIDER_NAME: provider, REQUEST_MODEL: model, REQUEST_STREAM: stream}


def record_answer(
    span: Span,
    *,
    model: str,
    input_tokens: int,
    output_tokens: int,
    finish_reasons: Sequence[str] = (),
    response_id: str | None = None,
    seconds_to_first_chunk: float | None = None,
) -> None:
    """Write what is known when the call has ended. `model` is the one that served."""
    if not span.is_recording():
        return
    span.set_attribute(RESPONSE_MODEL, model)
    span.set_attribute(USAGE_INPUT_TOKENS, input_tokens)
    span.set_attribute(USAGE_OUTPUT_TOKENS, output_tokens)
    if finish_reasons:
        span.set_attribute(RESPONSE_FINISH_REASONS, list(finish_reasons))
    if response_id is not None:
        span.set_attribute(RESPONSE_ID, response_id)
    if seconds_to_first_chunk is not None:
        span.set_attribute(RESPONSE_TIME_TO_FIRST_CHUNK, seconds_to_first_chunk)
