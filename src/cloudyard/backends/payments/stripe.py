"""Stripe behind the `PaymentProvider` port.

Eight calls of its API over aiohttp. The version is pinned to one whose PaymentIntents take cards unless told otherwise,
so that none of them sends the buyer to another page (Stripe API changelog, 2022-11-15; from 2023-08-16 on it is the
dashboard that decides).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar, overload
from urllib.parse import quote

import aiohttp
import msgspec
import structlog

from cloudyard.backends.payments import stripe_signature
from cloudyard.backends.payments.stripe_objects import (
    OUR_REFUND,
    Dispute,
    DisputeList,
    Event,
    Failure,
    Intent,
    Problem,
    Refund,
    RefundList,
)
from cloudyard.domains.payments import (
    ForgedPaymentEvent,
    Notice,
    PaymentMethodRefused,
    PaymentProviderUnavailable,
    PaymentRefused,
    ProviderIntent,
    ProviderState,
    RefundRefused,
    Reversal,
)
from cloudyard.foundation.errors import DomainError, FeatureUnavailable
from cloudyard.foundation.settings.payments import PaymentSettings

log = structlog.get_logger(__name__)

API_VERSION = "2022-11-15"
LARGEST_PAGE = "100"
MOST_PAGES = 100
RETRY_SECONDS = 5.0
WORTH_ANOTHER_TRY = frozenset({HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS})
NEVER_REFUNDED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.NOT_FOUND})
KEY_TROUBLE = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

T = TypeVar("T")


class StripeProvider:
    """Talks to Stripe, or to whatever speaks its API at `payments.stripe_url`."""

    def __init__(self, settings: PaymentSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def ping(self) -> None:
        """There is a key: Stripe itself is asked with each payment."""

    async def create(self, *, cents: int, payment_method: str, payment_id: str, user_id: str) -> ProviderIntent:
        """A PaymentIntent that is not confirmed, so that nothing is charged before its id is in our books."""
        form = {
            "amount": str(cents),
            "currency": "usd",
            "payment_method": payment_method,
            "metadata[cloudyard_payment]": payment_id,
            "metadata[cloudyard_user]": user_id,
        }
        status, body = await self._send("POST", "/v1/payment_intents", form=form, key=payment_id)
        if status == HTTPStatus.OK:
            return _decoded(body, Intent).read()
        problem = _problem(body)
        if status == HTTPStatus.NOT_FOUND or problem.param == "payment_method" or problem.type == "card_error":
            raise PaymentMethodRefused(
                f"Stripe cannot use this payment method ({problem.message}). Send the id of one of your account's.",
                field="payment_method_id",
            )
        raise _failure(status, problem)

    async def confirm(self, intent_id: str, *, key: str) -> ProviderIntent:
        """Charge; a decline comes back as the intent that it leaves behind."""
        status, body = await self._send("POST", f"{_path(intent_id)}/confirm", key=key)
        return await self._stands(intent_id, status, body)

    async def retrieve(self, intent_id: str) -> ProviderIntent:
        """The intent as it is now."""
        status, body = await self._send("GET", _path(intent_id))
        if status != HTTPStatus.OK:
            raise _failure(status, _problem(body))
        return _decoded(body, Intent).read()

    async def cancel(self, intent_id: str, *, key: str) -> ProviderIntent:
        """Cancel; an intent that was paid in the meantime comes back as paid."""
        status, body = await self._send("POST", f"{_path(intent_id)}/cancel", key=key)
        return await self._stands(intent_id, status, body)

    async def refund(self, charge_id: str, *, cents: int, refund_id: str) -> Reversal:
        """A refund that bears our id of it; what Stripe does not refund is refused with its words."""
        form = {"charge": charge_id, "amount": str(cents), f"metadata[{OUR_REFUND}]": refund_id}
        status, body = await self._send("POST", "/v1/refunds", form=form, key=refund_id)
        if status == HTTPStatus.OK:
            return _decoded(body, Refund).read()
        problem = _problem(body)
        if status in NEVER_REFUNDED:
            raise RefundRefused(f"Stripe does not refund this: {problem.message or 'no reason given'}.")
        raise _failure(status, problem)

    async def refunds(self, charge_id: str) -> Sequence[Reversal]:
        """The refunds of a charge, of which Stripe allows fewer than a page."""
        query = {"charge": charge_id, "limit": LARGEST_PAGE}
        status, body = await self._send("GET", "/v1/refunds", query=query)
        if status != HTTPStatus.OK:
            raise _failure(status, _problem(body))
        return [refund.read() for refund in _decoded(body, RefundList).data]

    async def refunds_since(self, since: datetime) -> Sequence[Reversal]:
        """Page by page, the newest first; what lies beyond `MOST_PAGES` is logged and left out."""
        return [refund.read() for refund in await self._listed("/v1/refunds", RefundList, since)]

    async def disputes_since(self, since: datetime) -> Sequence[Reversal]:
        """Page by page, the newest first; what lies beyond `MOST_PAGES` is logged and left out."""
        found = [dispute.read() for dispute in await self._listed("/v1/disputes", DisputeList, since)]
        return [dispute for dispute in found if dispute is not None]

    def read_event(self, body: bytes, signature: str | None, now: datetime) -> Notice | None:
        """Verify an event and read it."""
        secret = self._settings.stripe_webhook_secret
        if secret is None:
            raise FeatureUnavailable(
                "Stripe's events cannot be verified. Set payments.stripe_webhook_secret to the signing secret of the "
                "webhook endpoint (CLOUDYARD_PAYMENTS__STRIPE_WEBHOOK_SECRET)."
            )
        stripe_signature.verify(body, signature, secret.get_secret_value(), now)
        try:
            return msgspec.json.decode(body, type=Event).read()
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ForgedPaymentEvent(f"The event is signed, but is no event of Stripe's: {error}.") from error

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    @overload
    async def _listed(self, path: str, kind: type[RefundList], since: datetime) -> list[Refund]: ...
    @overload
    async def _listed(self, path: str, kind: type[DisputeList], since: datetime) -> list[Dispute]: ...
    async def _listed(self, path: str, kind: Any, since: datetime) -> list[Any]:
        found: list[Any] = []
        query = {"created[gte]": str(int(since.timestamp())), "limit": LARGEST_PAGE}
        for _ in range(MOST_PAGES):
            status, body = await self._send("GET", path, query=query)
            if status != HTTPStatus.OK:
                raise _failure(status, _problem(body))
            page = _decoded(body, kind)
            found += page.data
            if not page.has_more or not page.data:
                return found
            query["starting_after"] = page.data[-1].id
        log.warning("Stripe lists more than is asked for", path=path, since=since.isoformat(), taken=len(found))
        return found

    async def _stands(self, intent_id: str, status: int, body: bytes) -> ProviderIntent:
        """How an intent stands after a request to change it, which may have come too late to do so."""
        if status == HTTPStatus.OK:
            return _decoded(body, Intent).read()
        problem = _problem(body)
        if problem.payment_intent is not None:
            found = problem.payment_intent.read()
        elif status == HTTPStatus.BAD_REQUEST:
            found = await self.retrieve(intent_id)
        else:
            raise _failure(status, problem)
        if found.state is ProviderState.UNCONFIRMED:
            raise _failure(status, problem)
        return found

    async def _send(
        self,
        method: str,
        path: str,
        *,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> tuple[int, bytes]:
        headers = {"Idempotency-Key": key} if key is not None else {}
        url = self._settings.stripe_url.rstrip("/") + path
        try:
            async with self._opened().request(method, url, data=form, params=query, headers=headers) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or "it did not answer in time"
            raise PaymentProviderUnavailable(
                "Stripe cannot be reached.", retry_after=RETRY_SECONDS, for_operators=reason
            ) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            key = self._settings.stripe_key.get_secret_value() if self._settings.stripe_key else ""
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {key}", "Stripe-Version": API_VERSION},
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _path(intent_id: str) -> str:
    return f"/v1/payment_intents/{quote(intent_id, safe='')}"


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PaymentProviderUnavailable(
            f"Stripe's answer cannot be read: {error}.", retry_after=RETRY_SECONDS
        ) from error


def _problem(body: bytes) -> Problem:
    try:
        return msgspec.json.decode(body, type=Failure).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Problem(message=body[:200].decode("utf-8", "replace"))


def _failure(status: int, problem: Problem) -> DomainError:
    said = problem.message or "no reason given"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in WORTH_ANOTHER_TRY:
        return PaymentProviderUnavailable(
            f"Stripe failed with {status}.", retry_after=RETRY_SECONDS, for_operators=said
        )
    if status in KEY_TROUBLE:
        return PaymentRefused(
            "Stripe does not accept this installation's key. Tell your administrator.",
            for_operators="check payments.stripe_key",
        )
    return PaymentRefused(f"Stripe refused the request with {status}: {said}.")
