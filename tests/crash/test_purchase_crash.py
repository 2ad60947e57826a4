"""A server that is killed in the middle of a purchase or refund: money and credits move once, or not at all."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from cloudyard.testing.local_stripe import KEY, local_stripe
from cloudyard.testing.mortal_server import ADMIN, books_are_right, mortal_server, signed_in

ORDER = {"packageId": "pkg_starter", "paymentMethodId": "pm_card_visa", "amount": 1000}
WELCOME, STARTER = 100, 1000


async def balance(client: httpx2.AsyncClient) -> Any:
    return (await client.get("/aihub/api/credits/balance")).json()["data"]["balance"]


def paid_intents(stripe_url: str) -> int:
    answer = httpx2.get(f"{stripe_url}/v1/payment_intents", headers={"Authorization": f"Bearer {KEY}"})
    return sum(intent["status"] == "succeeded" for intent in answer.json()["data"])


def refunds(stripe_url: str) -> list[int]:
    answer = httpx2.get(f"{stripe_url}/v1/refunds", headers={"Authorization": f"Bearer {KEY}"})
    return [refund["amount"] for refund in answer.json()["data"]]


@pytest.mark.parametrize("point", ["payment.created", "payment.confirmed"])
async def test_a_killed_purchase_goes_on_under_its_key(data_dir: Path, point: str) -> None:
    key = {"Idempotency-Key": "one-purchase"}
    with local_stripe() as stripe_url:
        environment = {"CLOUDYARD_PAYMENTS__STRIPE_KEY": KEY, "CLOUDYARD_PAYMENTS__STRIPE_URL": stripe_url}
        doomed = mortal_server(data_dir, crash_at=point, environment=environment)
        async with doomed as server, signed_in(server.url) as client:
            with pytest.raises(httpx2.TransportError):
                await client.post("/aihub/api/credits/purchase", json=ORDER, headers=key)
            assert await server.died() < 0
        assert paid_intents(stripe_url) == (point == "payment.confirmed")
        assert books_are_right(data_dir, environment)

        async with mortal_server(data_dir, environment=environment) as server, signed_in(server.url) as client:
            again = await client.post("/aihub/api/credits/purchase", json=ORDER, headers=key)
            assert again.status_code == 201, again.text
            assert await balance(client) == WELCOME + STARTER
        assert paid_intents(stripe_url) == 1
    assert books_are_right(data_dir, environment)


@pytest.mark.parametrize(("point", "made"), [("refund.begun", 0), ("refund.made", 1)])
async def test_a_killed_refund_is_made_once(data_dir: Path, point: str, made: int) -> None:
    key = {"Idempotency-Key": "one-refund"}
    reason = {"reason": "The customer asked"}
    with local_stripe() as stripe_url:
        environment = {"CLOUDYARD_PAYMENTS__STRIPE_KEY": KEY, "CLOUDYARD_PAYMENTS__STRIPE_URL": stripe_url}
        async with mortal_server(data_dir, environment=environment) as server, signed_in(server.url) as client:
            bought = (await client.post("/aihub/api/credits/purchase", json=ORDER)).json()["data"]["id"]
        path = f"/aihub/api/admin/payments/{bought}/refund"

        doomed = mortal_server(data_dir, crash_at=point, environment=environment)
        async with doomed as server, signed_in(server.url, ADMIN) as client:
            with pytest.raises(httpx2.TransportError):
                await client.post(path, json=reason, headers=key)
            assert await server.died() < 0
        assert refunds(stripe_url) == [1000] * made
        assert books_are_right(data_dir, environment)

        async with mortal_server(data_dir, environment=environment) as server, signed_in(server.url, ADMIN) as client:
            again = await client.post(path, json=reason, headers=key)
            assert again.status_code == (201 if made else 202), again.text
        assert refunds(stripe_url) == [1000] * made
    assert books_are_right(data_dir, environment)
