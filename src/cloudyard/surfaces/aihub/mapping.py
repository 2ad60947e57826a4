"""Records of the domains in Smart AI Hub's shapes."""

from collections.abc import Sequence
from datetime import datetime

from cloudyard.domains.identity import TokenPair, User
from cloudyard.domains.ledger import HistoryEntry, Wallet
from cloudyard.foundation.money import CreditRate, plain_number
from cloudyard.surfaces.aihub import schemas
from cloudyard.web.paging import Page

VERSION = "1.0"


def timestamp(moment: datetime) -> str:
    """A moment in UTC as the document writes it: `2023-10-15T10:30:00Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def account_view(user: User) -> schemas.AccountView:
    """A user as login shows it."""
    return schemas.AccountView(
        id=user.id,
        email=user.email,
        first_name=user.first_name,
        last_name=user.last_name,
        role=user.role,
        email_verified=user.email_verified,
        created_at=timestamp(user.created_at),
    )


def user_view(user: User) -> schemas.UserView:
    """The current user."""
    return schemas.UserView(
        **dict(account_view(user)),
        phone=user.phone,
        timezone=user.timezone,
        language=user.language,
        updated_at=timestamp(user.updated_at),
    )


def tokens_view(pair: TokenPair) -> schemas.TokensView:
    """The tokens of a session."""
    return schemas.TokensView(
        access_token=pair.access_token, refresh_token=pair.refresh_token, expires_in=pair.expires_in
    )


def balance_view(wallet: Wallet, rate: CreditRate) -> schemas.BalanceView:
    """A wallet in credits."""
    return schemas.BalanceView(
        user_id=wallet.user_id,
        balance=shown_credits(wallet.available, rate),
        held=shown_credits(wallet.held, rate),
        last_updated=timestamp(wallet.updated_at),
    )


def history_lines(entries: Sequence[HistoryEntry], rate: CreditRate) -> list[schemas.HistoryLine]:
    """Lines of a history in credits."""
    return [
        schemas.HistoryLine(
            id=entry.id,
            type=entry.kind.value,
            amount=shown_credits(entry.amount, rate),
            balance=shown_credits(entry.balance, rate),
            description=entry.description,
            created_at=timestamp(entry.created_at),
        )
        for entry in entries
    ]


def pagination(at: Page, total: int) -> schemas.Pagination:
    """Where a page lies in a list of `total` items."""
    pages = at.pages(total)
    return schemas.Pagination(
        page=at.page,
        limit=at.limit,
        total=total,
        total_pages=pages,
        has_next=at.page < pages,
        has_prev=at.page > 1,
    )


def shown_credits(nanos: int, rate: CreditRate) -> int | float:
    """An amount in credits, as a JSON number."""
    return plain_number(rate.credits(nanos))
