"""The client itself."""

from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

import httpx2

from smartaihub._credentials import Credentials, KeepTokens
from smartaihub._defaults import LIVE_IS_MISSING, checked_base_url, default_timeout
from smartaihub._retries import RetryPolicy
from smartaihub._sync.admin import Admin
from smartaihub._sync.auth import Auth
from smartaihub._sync.chat import Chat
from smartaihub._sync.connection import Connection
from smartaihub._sync.credits import Credits
from smartaihub._sync.models import Models
from smartaihub._sync.notifications import Notifications
from smartaihub._sync.users import Users
from smartaihub._sync.webhooks import Webhooks
from smartaihub.types.accounts import Tokens

if TYPE_CHECKING:
    from smartaihub._sync.live import Live


class SmartAIHubClient:
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
        http_client: httpx2.Client | None = None,
    ) -> None:
        address = checked_base_url(base_url) + self.path
        http = http_client or httpx2.Client(timeout=default_timeout(timeout))
        self._credentials = Credentials(api_key, tokens, on_tokens)
        self._owns_http = http_client is None
        self._connection = connection = Connection(http, address, self._credentials, retries or RetryPolicy())
        self.auth = Auth(connection)
        self.users = Users(connection)
        self.credits = Credits(connection)
        self.models = Models(connection)
        self.chat = Chat(connection)
        self.notifications = Notifications(connection)
        self.webhooks = Webhooks(connection)
        self.admin = Admin(connection)

    @property
    def tokens(self) -> Tokens | None:
        """The tokens of the session, if there is one."""
        return self._credentials.tokens

    @property
    def live(self) -> "Live":
        """Events as they happen. Raises ImportError without the extra `live`."""
        try:
            from smartaihub._sync.live import Live  # noqa: PLC0415 - what it needs is optional
        except ImportError as error:
            raise ImportError(LIVE_IS_MISSING) from error
        return Live(self._connection)

    def close(self) -> None:
        """Close the connections. As a context manager the client does so by itself."""
        if self._owns_http:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
