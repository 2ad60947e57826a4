"""The stop that buys credits."""

from decimal import Decimal
from http import HTTPStatus
from typing import Any

from cloudyard.entrypoints.tour.curl import Credential
from cloudyard.entrypoints.tour.money import Purse
from cloudyard.entrypoints.tour.screen import Screen
from cloudyard.entrypoints.tour.talk import Refused, Talk
from cloudyard.foundation.ids import Ids

PACKAGES_PATH = "/aihub/api/credits/packages"
PURCHASE_PATH = "/aihub/api/credits/purchase"
TEST_CARD = "pm_card_visa"
"""A payment method that every Stripe account has in its test mode (Stripe documentation, Testing, Cards)."""
NOT_SOLD_HERE = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.UNPROCESSABLE_ENTITY)
"""Nothing is set up, or real cards alone are taken."""


def purchase(talk: Talk, screen: Screen, purse: Purse, token: Credential, ids: Ids) -> None:
    """Buy the cheapest package with a test card, twice with the same key, and get and pay it once."""
    screen.stop("A purchase", "The cheapest package of credits, paid through Stripe's API with a test card.")
    packages = talk.json("GET", PACKAGES_PATH, credential=token)["data"]
    if not packages:
        screen.skipped("No package is sold here: payments.packages is empty.")
        return
    order = {"packageId": packages[0]["id"], "paymentMethodId": TEST_CARD}
    key = {"Idempotency-Key": ids.hex(8)}
    try:
        bought = talk.json("POST", PURCHASE_PATH, body=order, headers=key, credential=token)["data"]
    except Refused as refusal:
        if refusal.status not in NOT_SOLD_HERE:
            raise
        screen.skipped(refusal.said)
        return
    _check(screen, purse, bought)
    again = talk.json("POST", PURCHASE_PATH, body=order, headers=key, credential=token, quietly=True)["data"]
    screen.check(again["id"] == bought["id"], "the same request with the same Idempotency-Key is the same purchase")
    purse.unchanged("it was paid once")


def _check(screen: Screen, purse: Purse, bought: Any) -> None:
    status = bought["status"]
    screen.check(status == "completed", f"the purchase is {status}: ${bought['price']} for {bought['credits']} credits")
    if status == "completed":
        purse.bought(Decimal(bought["credits"]))
