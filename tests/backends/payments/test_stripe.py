"""The client of Stripe's API, and the signature of its webhooks."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from cloudyard.backends.payments import open_payment_provider
from cloudyard.backends.payments.stripe import API_VERSION, MOST_PAGES, StripeProvider
from cloudyard.backends.payments.stripe_signature import sign, verify
from cloudyard.domains.payments import (
    ForgedPaymentEvent,
    PaymentProviderUnavailable,
    PaymentRefused,
    ProviderIntent,
    ProviderState,
    RefundRefused,
    Reversal,
    ReversalKind,
)
from cloudyard.foundation.errors import FeatureUnavailable
from cloudyard.foundation.settings.payments import PaymentSettings
from cloudyard.testing.local_stripe import KEY, local_stripe
from cloudyard.testing.waiting import until

SECRET = "whsec_test"
BODY = b'{"type": "customer.created", "data": {"object": {"id": "cus_1"}}}'
NOW = datetime(2026, 11, 22, tzinfo=UTC)
AT = int(NOW.timestamp())
DECLINED_INTENT = {
    "id": "pi_1",
    "status": "requires_payment_method",
    "amount": 1000,
    "currency": "usd",
    "amount_received": 0,
    "last_payment_error": {"code": "card_declined", "message": "Your card was declined.", "extra": {}},
}


def signed(*signatures: str, at: int | str = AT) -> str:
    return ",".join([f"t={at}", *(f"v1={signature}" for signature in signatures)])


def test_a_signature_of_the_secret_is_good_even_beside_another() -> None:
    verify(BODY, signed(sign(BODY, SECRET, AT)), SECRET, NOW)
    verify(BODY, signed("0" * 64, sign(BODY, SECRET, AT)) + ",v0=abc", SECRET, NOW)
    verify(BODY, signed(sign(BODY, SECRET, AT - 300), at=AT - 300), SECRET, NOW)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        signed(),
        signed(sign(BODY, "whsec_other", AT)),
        signed(sign(BODY + b" ", SECRET, AT)),
        signed(sign(BODY, SECRET, AT), at=AT + 1),
        signed(sign(BODY, SECRET, AT - 301), at=AT - 301),
        signed(sign(BODY, SECRET, AT + 301), at=AT + 301),
        signed(sign(BODY, SECRET, AT), at="-1"),
        signed(sign(BODY, SECRET, AT), at="9" * 400),
        f"t={AT},v0={sign(BODY, SECRET, AT)}",
        signed("\u00e9"),
    ],
)
def test_anything_else_is_refused(header: str | None) -> None:
    with pytest.raises(ForgedPaymentEvent):
        verify(BODY, header, SECRET, NOW)


def provider(url: str = "http://127.0.0.1:9", *, webhook_secret: str | None = SECRET) -> StripeProvider:
    secret = SecretStr(webhook_secret) if webhook_secret else None
    return StripeProvider(
        PaymentSettings(
            stripe_key=SecretStr("sk_test"), stripe_url=url, stripe_webhook_secret=secret, timeout_seconds=0.5
        )
    )


def test_signed_nonsense_is_refused_and_strange_events_are_nothing() -> None:
    for body in (b"\xff", b"[]", b'{"type": "payment_intent.succeeded", "data": {"object": {}}}'):
        with pytest.raises(ForgedPaymentEvent):
            provider().read_event(body, signed(sign(body, SECRET, AT)), NOW)
    assert provider().read_event(BODY, signed(sign(BODY, SECRET, AT)), NOW) is None


def test_without_a_webhook_secret_it_says_what_to_set() -> None:
    with pytest.raises(FeatureUnavailable, match=r"payments\.stripe_webhook_secret"):
        provider(webhook_secret=None).read_event(BODY, None, NOW)


async def test_without_a_key_it_says_what_to_set() -> None:
    absent = open_payment_provider(PaymentSettings())
    with pytest.raises(FeatureUnavailable, match=r"payments\.stripe_key"):
        await absent.ping()


class Odd:
    """A server that answers as Stripe does on its bad days, and keeps the requests."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[tuple[int, Any]] = []
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.queries: list[dict[str, str]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path, dict(request.headers), await request.text()))
        self.queries.append(dict(request.query))
        status, body = self.answers.pop(0)
        if status == 0:
            await asyncio.sleep(5)
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status or 200, text=text, content_type="application/json")


@pytest.fixture
async def odd() -> AsyncIterator[Odd]:
    server = Odd()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    yield server
    await runner.cleanup()


@pytest.fixture
async def client(odd: Odd) -> AsyncIterator[StripeProvider]:
    client = provider(odd.url)
    yield client
    await client.close()


async def test_requests_are_forms_with_key_and_version(odd: Odd, client: StripeProvider) -> None:
    odd.answers = [(200, {**DECLINED_INTENT, "status": "requires_confirmation", "last_payment_error": None})]
    await client.create(cents=1000, payment_method="pm_1", payment_id="p-1", user_id="u-1")
    method, path, headers, body = odd.requests[0]
    assert (method, path) == ("POST", "/v1/payment_intents")
    assert headers["Idempotency-Key"] == "p-1"
    assert headers["Stripe-Version"] == API_VERSION
    assert headers["Authorization"] == "Bearer sk_test"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert "amount=1000&currency=usd&payment_method=pm_1" in body
    assert "confirm" not in body


async def test_a_decline_is_an_answer(odd: Odd, client: StripeProvider) -> None:
    odd.answers = [(402, {"error": {"type": "card_error", "payment_intent": DECLINED_INTENT}})]
    intent = await client.confirm("pi_1", key="k")
    assert intent == ProviderIntent("pi_1", ProviderState.DECLINED, 0, "usd", failure="Your card was declined.")


async def test_what_another_confirmed_meanwhile_is_looked_up(odd: Odd, client: StripeProvider) -> None:
    paid = {**DECLINED_INTENT, "status": "succeeded", "amount_received": 1000, "latest_charge": "ch_1"}
    odd.answers = [(400, {"error": {"code": "payment_intent_unexpected_state"}}), (200, paid)]
    intent = await client.confirm("pi_1", key="k")
    assert (intent.state, intent.received_cents, intent.charge_id) == (ProviderState.SUCCEEDED, 1000, "ch_1")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (500, {"error": {"message": "Oh no"}}, PaymentProviderUnavailable),
        (503, "<html>", PaymentProviderUnavailable),
        (429, {"error": {"message": "Slow down"}}, PaymentProviderUnavailable),
        (409, {"error": {"type": "idempotency_error"}}, PaymentProviderUnavailable),
        (0, {}, PaymentProviderUnavailable),
        (200, "nonsense", PaymentProviderUnavailable),
        (200, {"id": "pi_1"}, PaymentProviderUnavailable),
        (401, {"error": {"message": "Invalid API Key provided: sk_test"}}, PaymentRefused),
        (400, {"error": {"message": "Amount too small"}}, PaymentRefused),
    ],
)
async def test_bad_days(odd: Odd, client: StripeProvider, status: int, body: Any, error: type[Exception]) -> None:
    odd.answers = [(status, body)]
    with pytest.raises(error) as caught:
        await client.create(cents=1, payment_method="pm_1", payment_id="p", user_id="u")
    assert "sk_test" not in str(caught.value)


async def test_why_stripe_failed_is_for_operators_alone(odd: Odd, client: StripeProvider) -> None:
    odd.answers = [(500, {"error": {"message": "Oh no, db-7.internal"}})]
    with pytest.raises(PaymentProviderUnavailable, match="db-7") as failed:
        await client.retrieve("pi_1")
    assert failed.value.message == "Stripe failed with 500."
    odd.answers = [(403, {"error": {"message": "no permission"}})]
    with pytest.raises(PaymentRefused) as refused:
        await client.retrieve("pi_1")
    assert "stripe_key" not in refused.value.message


async def test_lists_are_read_page_by_page_from_a_time_on(odd: Odd, client: StripeProvider) -> None:
    refund = {"id": "re_2", "amount": 400, "status": "failed", "charge": "ch_1", "payment_intent": "pi_1"}
    odd.answers = [
        (200, {"data": [refund], "has_more": True}),
        (200, {"data": [{**refund, "id": "re_1", "status": "succeeded"}], "has_more": False}),
    ]
    found = await client.refunds_since(NOW)
    assert [(each.id, each.returned, each.intent_id) for each in found] == [
        ("re_2", True, "pi_1"),
        ("re_1", False, "pi_1"),
    ]
    assert odd.queries == [
        {"created[gte]": str(AT), "limit": "100"},
        {"created[gte]": str(AT), "limit": "100", "starting_after": "re_2"},
    ]


async def test_a_list_without_end_is_left(odd: Odd, client: StripeProvider) -> None:
    refund = {"id": "re_1", "amount": 400, "status": "succeeded"}
    odd.answers = [(200, {"data": [refund], "has_more": True})] * (MOST_PAGES + 1)
    assert len(await client.refunds_since(NOW)) == MOST_PAGES
    assert len(odd.answers) == 1


async def test_disputes_in_a_list_say_whether_the_money_came_back(odd: Odd, client: StripeProvider) -> None:
    dispute = {"id": "dp_1", "amount": 400, "charge": "ch_1"}
    withdrawn, reinstated = {"amount": -400}, {"amount": 400}
    odd.answers = [
        (
            200,
            {
                "data": [
                    {**dispute, "status": "needs_response", "balance_transactions": [withdrawn]},
                    {**dispute, "status": "lost", "balance_transactions": [withdrawn, reinstated]},
                    {**dispute, "status": "won"},
                    {**dispute, "status": "warning_closed", "balance_transactions": []},
                ]
            },
        )
    ]
    assert [each.returned for each in await client.disputes_since(NOW)] == [False, True, True]


async def test_a_list_that_the_key_may_not_read_is_refused(odd: Odd, client: StripeProvider) -> None:
    odd.answers = [(403, {"error": {"message": "no permission"}})]
    with pytest.raises(PaymentRefused, match=r"payments\.stripe_key"):
        await client.disputes_since(NOW)


async def test_a_refund_bears_our_id_out_and_back(odd: Odd, client: StripeProvider) -> None:
    made = {"id": "re_1", "amount": 400, "status": "pending", "charge": "ch_1", "metadata": {"cloudyard_refund": "r-1"}}
    odd.answers = [(200, made), (200, {"data": [made, {**made, "id": "re_2", "metadata": {}}]})]
    reversal = await client.refund("ch_1", cents=400, refund_id="r-1")
    assert reversal == Reversal("re_1", ReversalKind.REFUND, None, "ch_1", 400, returned=False, refund_id="r-1")
    method, path, headers, body = odd.requests[0]
    assert (method, path, headers["Idempotency-Key"]) == ("POST", "/v1/refunds", "r-1")
    assert body == "charge=ch_1&amount=400&metadata%5Bcloudyard_refund%5D=r-1"
    assert [each.refund_id for each in await client.refunds("ch_1")] == ["r-1", None]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RefundRefused),
        (402, RefundRefused),
        (404, RefundRefused),
        (401, PaymentRefused),
        (403, PaymentRefused),
        (409, PaymentProviderUnavailable),
        (429, PaymentProviderUnavailable),
        (500, PaymentProviderUnavailable),
        (0, PaymentProviderUnavailable),
    ],
)
async def test_only_what_stripe_will_never_refund_is_refused(
    odd: Odd, client: StripeProvider, status: int, error: type[Exception]
) -> None:
    odd.answers = [(status, {"error": {"message": "Charge ch_1 has already been refunded."}})]
    with pytest.raises(error):
        await client.refund("ch_1", cents=400, refund_id="r-1")


async def test_a_server_that_is_not_there(client: StripeProvider) -> None:
    nowhere = provider()
    with pytest.raises(PaymentProviderUnavailable, match="cannot be reached"):
        await nowhere.retrieve("pi_1")
    await nowhere.close()


async def test_what_a_server_of_stripes_api_signs_is_read(odd: Odd) -> None:
    odd.answers = [(200, {})]
    with local_stripe() as url:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as stripe:
            hook = {"url": f"{odd.url}/hook", "secret": SECRET}
            (await stripe.post(f"{url}/_config/webhooks/mine", json=hook)).close()
            (await stripe.post(f"{url}/v1/customers", data={"email": "a@example.com"})).close()
            await until(lambda: bool(odd.requests))
    _, _, headers, body = odd.requests[0]
    assert json.loads(body)["type"] == "customer.created"
    assert provider().read_event(body.encode(), headers["Stripe-Signature"], datetime.now(UTC)) is None
    with pytest.raises(ForgedPaymentEvent):
        provider(webhook_secret="whsec_other").read_event(body.encode(), headers["Stripe-Signature"], datetime.now(UTC))
