"""Python client of Smart AI Hub's API.

    from smartaihub import SmartAIHubClient

    client = SmartAIHubClient(base_url="https://api.smartaihub.com", api_key="your-api-key")
    response = client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "Hello!"}])
    print(response.text)

`AsyncSmartAIHubClient` is the same for asyncio.
"""

from smartaihub import types
from smartaihub._async.chat import AsyncChatStream
from smartaihub._async.client import AsyncSmartAIHubClient
from smartaihub._async.pages import AsyncPages
from smartaihub._errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AuthenticationError,
    ConflictError,
    FieldProblem,
    InsufficientCreditsError,
    NotFoundError,
    PaymentFailedError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    ServiceUnavailableError,
    SmartAIHubError,
    UnexpectedAnswerError,
    ValidationError,
    WebhookVerificationError,
)
from smartaihub._retries import RetryPolicy
from smartaihub._sync.chat import ChatStream
from smartaihub._sync.client import SmartAIHubClient
from smartaihub._sync.pages import Pages
from smartaihub._version import __version__
from smartaihub._webhooks import verify_webhook
from smartaihub.types import Tokens, WebhookEvent

__all__ = [
    "APIConnectionError",
    "APIError",
    "APITimeoutError",
    "AsyncChatStream",
    "AsyncPages",
    "AsyncSmartAIHubClient",
    "AuthenticationError",
    "ChatStream",
    "ConflictError",
    "FieldProblem",
    "InsufficientCreditsError",
    "NotFoundError",
    "Pages",
    "PaymentFailedError",
    "PermissionDeniedError",
    "RateLimitError",
    "RetryPolicy",
    "ServerError",
    "ServiceUnavailableError",
    "SmartAIHubClient",
    "SmartAIHubError",
    "Tokens",
    "UnexpectedAnswerError",
    "ValidationError",
    "WebhookEvent",
    "WebhookVerificationError",
    "__version__",
    "types",
    "verify_webhook",
]
