"""Users and figures in the shapes of Admin Endpoints."""

from cloudyard.domains.administration import Figures, Overview
from cloudyard.domains.identity import User, UserOrder
from cloudyard.domains.ledger import Wallet
from cloudyard.foundation.money import CreditRate, plain_number, usd_from_nanos
from cloudyard.foundation.telemetry.traffic import Day
from cloudyard.surfaces.aihub import admin_schemas as schemas
from cloudyard.surfaces.aihub.mapping import shown_credits, timestamp

ORDERS = {
    "createdAt": UserOrder.CREATED_AT,
    "lastActiveAt": UserOrder.LAST_ACTIVE_AT,
    "email": UserOrder.EMAIL,
    "firstName": UserOrder.FIRST_NAME,
    "lastName": UserOrder.LAST_NAME,
}


def order_of(sort: schemas.UserSort) -> tuple[UserOrder, bool]:
    """What to sort by, and whether downwards."""
    return ORDERS[sort.removeprefix("-")], sort.startswith("-")


def listed_user(overview: Overview, rate: CreditRate) -> schemas.ListedUser:
    """A user in the list."""
    user = overview.user
    return schemas.ListedUser(
        id=user.id,
        email=user.email,
        first_name=user.first_name,
        last_name=user.last_name,
        role=user.role,
        status=user.status,
        email_verified=user.email_verified,
        credits=shown_credits(overview.available, rate),
        created_at=timestamp(user.created_at),
        last_active_at=timestamp(user.last_active_at or user.created_at),
    )


def user_details(user: User, wallet: Wallet, rate: CreditRate) -> schemas.UserDetails:
    """Everything that is kept of a user."""
    return schemas.UserDetails(
        **dict(listed_user(Overview(user, wallet.available), rate)),
        username=user.username,
        phone=user.phone,
        timezone=user.timezone,
        language=user.language,
        held_credits=shown_credits(wallet.held, rate),
        updated_at=timestamp(user.updated_at),
    )


def system_metrics(figures: Figures, day: Day, rate: CreditRate) -> schemas.SystemMetrics:
    """The installation in numbers."""
    return schemas.SystemMetrics(
        users=schemas.UserFigures(total=figures.users, active=figures.active_users, new_this_month=figures.new_users),
        credits=schemas.CreditFigures(
            total_purchased=shown_credits(figures.purchased, rate),
            total_used=shown_credits(figures.used, rate),
            revenue=plain_number(usd_from_nanos(figures.received)),
        ),
        api=schemas.ApiFigures(
            requests_today=day.requests,
            average_response_time=round(day.mean_seconds * 1000, 3),
            error_rate=round(day.failed_share, 6),
        ),
    )
