"""Records of the domains in NeuroGrid's shapes."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from cloudyard.domains.identity import ApiKey, TokenPair, User
from cloudyard.domains.ledger import HistoryEntry, Wallet
from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.money import CreditRate, nanos_from_usd, plain_number, usd_from_nanos
from cloudyard.surfaces.neurogrid import schemas
from cloudyard.web.paging import Page


def timestamp(moment: datetime) -> str:
    """A moment in UTC as the document writes it: `2024-01-15T10:30:00.000Z`."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def user_view(user: User) -> schemas.UserView:
    """A user."""
    return schemas.UserView(
        id=user.id,
        email=user.email,
        username=user.username,
        full_name=user.name,
        company=user.company,
        role=user.role,
        email_verified=user.email_verified,
        created_at=timestamp(user.created_at),
    )


def tokens_view(pair: TokenPair) -> schemas.TokensView:
    """The tokens of a session that goes on."""
    return schemas.TokensView(token=pair.access_token, refresh_token=pair.refresh_token, expires_in=pair.expires_in)


def logged_in(pair: TokenPair) -> schemas.LoggedIn:
    """A session that was opened."""
    return schemas.LoggedIn(**dict(tokens_view(pair)), user=user_view(pair.user))


def api_key_view(key: ApiKey) -> schemas.ApiKeyView:
    """An API key without its secret."""
    return schemas.ApiKeyView(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        scopes=_sorted(key.scopes),
        expires_at=_optional_timestamp(key.expires_at),
        allowed_models=_sorted(key.allowed_models),
        spend_cap=shown_usd(key.spend_cap_nanos) if key.spend_cap_nanos is not None else None,
        requests_per_minute=key.requests_per_minute,
        tokens_per_minute=key.tokens_per_minute,
        created_at=timestamp(key.created_at),
        last_used_at=_optional_timestamp(key.last_used_at),
    )


def created_api_key(key: ApiKey, secret: str) -> schemas.CreatedApiKey:
    """A new API key with its secret."""
    return schemas.CreatedApiKey(**dict(api_key_view(key)), key=secret)


def wallet_view(wallet: Wallet, rate: CreditRate) -> schemas.WalletView:
    """A wallet in dollars."""
    return schemas.WalletView(
        balance=shown_usd(wallet.available),
        held=shown_usd(wallet.held),
        earnings=shown_usd(wallet.earnings),
        credits=plain_number(rate.credits(wallet.available)),
        updated_at=timestamp(wallet.updated_at),
    )


def transaction_views(entries: Sequence[HistoryEntry], rate: CreditRate) -> list[schemas.TransactionView]:
    """Lines of a wallet's history in dollars."""
    return [
        schemas.TransactionView(
            id=entry.id,
            type=entry.kind.value,
            amount=shown_usd(entry.amount),
            balance=shown_usd(entry.balance),
            credits=plain_number(rate.credits(entry.amount)),
            description=entry.description,
            created_at=timestamp(entry.created_at),
        )
        for entry in entries
    ]


def pagination(at: Page, total: int) -> schemas.Pagination:
    """Where a page lies in a list of `total` items."""
    return schemas.Pagination(page=at.page, limit=at.limit, total=total, pages=at.pages(total))


def shown_usd(nanos: int) -> int | float:
    """An amount in dollars, as a JSON number."""
    return plain_number(usd_from_nanos(nanos))


def spend_cap_nanos(usd: Decimal | None) -> int | None:
    """A spend cap in nano-dollars, None for none. Raises `InvalidInput`."""
    try:
        return nanos_from_usd(usd) if usd is not None else None
    except ValueError as error:
        raise InvalidInput(f"The spend cap is too fine: {error}.", field="spend_cap") from error


def _sorted(names: frozenset[str] | None) -> list[str] | None:
    return sorted(names) if names is not None else None


def _optional_timestamp(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment is not None else None
