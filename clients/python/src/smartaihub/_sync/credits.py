"""The own credits (document, Credit Endpoints)."""

from datetime import date
from decimal import Decimal

from smartaihub._requests import get, keyed, segment
from smartaihub._sync.connection import Connection
from smartaihub._sync.pages import Pages
from smartaihub.types.base import Envelope, Page
from smartaihub.types.credits import Balance, HistoryLine, Package, Purchase


class Credits:
    """`client.credits`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def balance(self) -> Balance:
        """Credits that are free to spend, and those set aside."""
        return self._connection.data(get("/api/credits/balance", Envelope[Balance]))

    def history(
        self,
        *,
        type: str | None = None,
        since: date | None = None,
        until: date | None = None,
        sort: str | None = None,
        limit: int = 20,
    ) -> Pages[HistoryLine]:
        """What changed the credits, newest first, or oldest first with `sort="createdAt"`; `limit` lines a page.

        `type` is `purchase`, `usage`, `bonus`, `adjustment` or `refund`. `since` is included and `until` is not; a date
        is its midnight (UTC), a datetime needs its time zone.
        """
        request = get(
            "/api/credits/history", Page[HistoryLine], type=type, since=since, until=until, sort=sort, limit=limit
        )
        return Pages(self._connection, request)

    def packages(self) -> list[Package]:
        """What can be bought, the cheapest first."""
        return self._connection.data(get("/api/credits/packages", Envelope[list[Package]]))

    def purchase(
        self,
        *,
        payment_method_id: str,
        package_id: str | None = None,
        amount: int | Decimal | None = None,
        idempotency_key: str | None = None,
    ) -> Purchase:
        """Buy a package, or an `amount` of credits; where both are given, the amount is what the package holds.

        Give an `idempotency_key` of your own, e.g. the order's number, and a purchase that your process did not live
        to see the end of can be sent again without being paid twice.
        Raises `PaymentFailedError` if the card is declined, `ServiceUnavailableError` if nothing can be bought.
        """
        request = keyed(
            "POST",
            "/api/credits/purchase",
            Envelope[Purchase],
            key=idempotency_key,
            payment_method_id=payment_method_id,
            package_id=package_id,
            amount=amount,
        )
        return self._connection.data(request)

    def get_purchase(self, purchase_id: str) -> Purchase:
        """How a purchase stands."""
        path = f"/api/credits/purchases/{segment(purchase_id)}"
        return self._connection.data(get(path, Envelope[Purchase]))
