"""The client itself."""

from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

import httpx2

from smartaihub._async.admin import AsyncAdmin
from smartaihub._async.auth import AsyncAuth
from smartaihub._async.chat import AsyncChat
from smartaihub._async.connection import AsyncConnection
from smartaihub._async.credits import AsyncCredits
from smartaihub._async.models import AsyncModels
from smartaihub._async.notifications import AsyncNotifications
from smartaihub._async.users import AsyncUsers
from smartaihub._async.webhooks import AsyncWebhooks
from smartaihub._credentials import Credentials, KeepTokens
from smartaihub._defaults import LIVE_IS_MISSING, checked_base_url, default_timeout
from smartaihub._retries import RetryPolicy
from smartaihub.types.accounts import Tokens

if TYPE_CHECKING:
    from smartaihub._async.live import AsyncLive


class AsyncSmartAIHubClient:
    """A client of Smart AI Hub's API at `base_url`.

    It proves itself with an `api_key`, with the `tokens` of an earlier session, or after `client.auth.login`.
    `on_tokens` is called with every new pair of tokens, to store it: a refresh token is good for one use.
    `timeout` is in seconds. An `http_client` of your own (proxies, certificates, limits) keeps its own timeouts, and is
    yours to close.
    """

    path: ClassVar[str] = ""
    """Where the API lies below `base_url`."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        tokens: Tokens | None = None,
        on_tokens: KeepTokens | None = None,
        retries: RetryPolicy | None = None,
        timeout: float | None = None,
        http_client: httpx2.AsyncClient | None = None,
    ) -> None:
        address = checked_base_url(base_url) + self.path
        http = http_client or httpx2.AsyncClient(timeout=default_timeout(timeout))
        self._credentials = Credentials(api_key, tokens, on_tokens)
        self._owns_http = http_client is None
        self._connection = connection = AsyncConnection(http, address, self._credentials, retries or RetryPolicy())
        self.auth = AsyncAuth(connection)
        self.users = AsyncUsers(connection)
        self.credits = AsyncCredits(connection)
        self.models = AsyncModels(connection)
        self.chat = AsyncChat(connection)
        self.notifications = AsyncNotifications(connection)
        self.webhooks = AsyncWebhooks(connection)
        self.admin = AsyncAdmin(connection)

    @property
    def tokens(self) -> Tokens | None:
        """The tokens of the session, if there is one."""
        return self._credentials.tokens

    @property
    def live(self) -> "AsyncLive":
        """Events as they happen. Raises ImportError without the extra `live`."""
        try:
            from smartaihub._async.live import AsyncLive  # noqa: PLC0415 - what it needs is optional
        except ImportError as error:
            raise ImportError(LIVE_IS_MISSING) from error
        return AsyncLive(self._connection)

    async def close(self) -> None:
        """Close the connections. As a context manager the client does so by itself."""
        if self._owns_http:
            await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
