"""What is known of the request at hand, for every log line written while it runs."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class RequestContext:
    """The request that the current task serves. `user_id` and `trace_id` are filled in once known."""

    request_id: str
    surface: str
    user_id: str | None = None
    trace_id: str | None = None


request_context: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)


def current_request_id() -> str | None:
    """The id of the request that the current task serves, or None outside of one."""
    context = request_context.get()
    return context.request_id if context is not None else None
