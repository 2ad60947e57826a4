"""What inference refuses and what can fail."""

from cloudyard.foundation.errors import DomainError, ErrorKind


class ModelNotFound(DomainError):
    """No such model, or the API key may not see it."""

    code = "model_not_found"
    kind = ErrorKind.NOT_FOUND


class InvalidRequest(DomainError):
    """The request asks for something that cannot be."""

    code = "invalid_request"
    kind = ErrorKind.INVALID


class ContextTooLong(DomainError):
    """Prompt and answer together do not fit into the model's context."""

    code = "context_length_exceeded"
    kind = ErrorKind.INVALID


class LocalModelUnavailable(DomainError):
    """The local model cannot run: its file is missing or corrupt, or its worker keeps dying."""

    code = "model_unavailable"
    kind = ErrorKind.UNAVAILABLE


class ModelBusy(DomainError):
    """Every deployment is at its limit and the queue is full."""

    code = "model_busy"
    kind = ErrorKind.UNAVAILABLE


class ProviderUnavailable(DomainError):
    """The deployment cannot be reached, failed, or broke off. `status` is its HTTP status, if it gave one."""

    code = "provider_unavailable"
    kind = ErrorKind.UPSTREAM


class ProviderRefused(DomainError):
    """The deployment understood the request and refused it; another one would, too."""

    code = "provider_refused"
    kind = ErrorKind.INVALID


class ConversationNotFound(DomainError):
    """No such stored response or turn of this user."""

    code = "conversation_not_found"
    kind = ErrorKind.NOT_FOUND
