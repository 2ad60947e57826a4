"""What the client proves itself with: an API key, or the tokens of a session."""

from collections.abc import Callable, Mapping

from smartaihub.types.accounts import Tokens

KeepTokens = Callable[[Tokens], None]


class Credentials:
    """An API key or a session's tokens; tokens go first where there are both. `on_tokens` hears of new ones."""

    def __init__(
        self, api_key: str | None = None, tokens: Tokens | None = None, on_tokens: KeepTokens | None = None
    ) -> None:
        self.tokens = tokens
        self._api_key = api_key
        self._on_tokens = on_tokens

    def keep(self, tokens: Tokens) -> None:
        """Use these tokens from now on, and tell whoever wants to store them."""
        self.tokens = tokens
        if self._on_tokens is not None:
            self._on_tokens(tokens)

    def forget(self) -> None:
        """Go on without a session."""
        self.tokens = None

    def headers(self) -> Mapping[str, str]:
        """The header that carries the credential; none for a stranger."""
        credential = self.tokens.access_token if self.tokens is not None else self._api_key
        return {"Authorization": f"Bearer {credential}"} if credential is not None else {}
