"""What a repetition by its idempotency key is told of an answer that was cut short."""

from cloudyard.domains.billing import UsageOutcome
from cloudyard.domains.inference import Answer
from cloudyard.foundation.errors import DomainError, ErrorKind


class StreamInterrupted(DomainError):
    """An answer, streamed or whole, was cut short; told to whoever asks for it again by its idempotency key."""

    code = "stream_interrupted"
    kind = ErrorKind.UPSTREAM


def interruption_of(answer: Answer) -> StreamInterrupted | None:
    """What cut an answer short, None if nothing did."""
    if answer.outcome is UsageOutcome.COMPLETED:
        return None
    who = "the caller left" if answer.outcome is UsageOutcome.CLIENT_LEFT else "the model's provider broke off"
    return StreamInterrupted(
        f"The answer was cut short because {who}; what had been generated was charged. "
        "Use a new Idempotency-Key to ask again."
    )
