"""What administrators do (document, Admin Endpoints)."""

from decimal import Decimal

from smartaihub._requests import get, keyed, segment
from smartaihub._sync.connection import Connection
from smartaihub._sync.pages import Pages
from smartaihub.types.administration import (
    Adjustment,
    ListedUser,
    Metrics,
    Payment,
    PaymentDetails,
    Refund,
    UserDetails,
)
from smartaihub.types.base import Envelope, Page

USERS = "/api/admin/users"
PAYMENTS = "/api/admin/payments"


class Admin:
    """`client.admin`."""

    def __init__(self, connection: Connection) -> None:
        self.users = AdminUsers(connection)
        self.payments = AdminPayments(connection)
        self._connection = connection

    def metrics(self) -> Metrics:
        """Users, credits and requests of the installation."""
        return self._connection.data(get("/api/admin/metrics", Envelope[Metrics]))


class AdminUsers:
    """`client.admin.users`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(
        self,
        *,
        role: str | None = None,
        status: str | None = None,
        search: str | None = None,
        sort: str | None = None,
        limit: int = 20,
    ) -> Pages[ListedUser]:
        """The users that match, newest first. `search` is a part of address, username or name.

        `sort` is `createdAt`, `lastActiveAt`, `email`, `firstName` or `lastName`, with a minus in front backwards.
        """
        request = get(USERS, Page[ListedUser], role=role, status=status, search=search, sort=sort, limit=limit)
        return Pages(self._connection, request)

    def get(self, user_id: str) -> UserDetails:
        """Everything that is kept of a user."""
        return self._connection.data(get(_path(user_id), Envelope[UserDetails]))

    def update(
        self,
        user_id: str,
        *,
        role: str | None = None,
        status: str | None = None,
        credits: int | Decimal | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> UserDetails:
        """Change what is given, together or not at all. `credits` is what the user shall have, for that `reason`."""
        request = keyed(
            "PUT",
            _path(user_id),
            Envelope[UserDetails],
            key=idempotency_key,
            role=role,
            status=status,
            credits=credits,
            reason=reason,
        )
        return self._connection.data(request)

    def adjust_credits(
        self,
        user_id: str,
        amount: int | Decimal,
        *,
        reason: str,
        type: str = "adjustment",
        idempotency_key: str | None = None,
    ) -> Adjustment:
        """Give credits, or take them with a negative amount. `type` is `adjustment` or `bonus`.

        Raises `ConflictError` if that would take more than there is.
        """
        request = keyed(
            "POST",
            f"{_path(user_id)}/credits/adjust",
            Envelope[Adjustment],
            key=idempotency_key,
            amount=amount,
            reason=reason,
            type=type,
        )
        return self._connection.data(request)


class AdminPayments:
    """`client.admin.payments`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, status: str | None = None, user_id: str | None = None, limit: int = 20) -> Pages[Payment]:
        """The payments that match, newest first."""
        request = get(PAYMENTS, Page[Payment], status=status, user_id=user_id, limit=limit)
        return Pages(self._connection, request)

    def get(self, payment_id: str) -> PaymentDetails:
        """A payment with its refunds."""
        return self._connection.data(get(f"{PAYMENTS}/{segment(payment_id)}", Envelope[PaymentDetails]))

    def refund(
        self,
        payment_id: str,
        *,
        reason: str,
        usd: int | Decimal | None = None,
        idempotency_key: str | None = None,
    ) -> Refund:
        """Give dollars of a purchase back, or all that is left of it; its share of the credits leaves the wallet."""
        request = keyed(
            "POST",
            f"{PAYMENTS}/{segment(payment_id)}/refund",
            Envelope[Refund],
            key=idempotency_key,
            usd=usd,
            reason=reason,
        )
        return self._connection.data(request)


def _path(user_id: str) -> str:
    return f"{USERS}/{segment(user_id)}"
