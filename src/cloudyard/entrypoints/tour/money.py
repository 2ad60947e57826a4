"""The visitor's money: the wallet before and after each call, beside the price that the answer named."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from cloudyard.entrypoints.tour.curl import Credential
from cloudyard.entrypoints.tour.screen import Screen
from cloudyard.entrypoints.tour.talk import Talk, TourStopped

WALLET_PATH = "/neurogrid/api/wallet"
BALANCE_PATH = "/aihub/api/credits/balance"
HISTORY_PATH = "/aihub/api/credits/history"
WELCOME_SECONDS = 10
ASK_AGAIN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Price:
    """What a call came to: tokens in and out, and dollars."""

    what: str
    tokens_in: int
    tokens_out: int
    usd: Decimal


class Purse:
    """Reads the wallet through the public APIs, and checks that it changes by exactly what is charged."""

    def __init__(self, talk: Talk, screen: Screen, credential: Credential) -> None:
        self._talk = talk
        self._screen = screen
        self._credential = credential
        self._prices: list[Price] = []
        self._usd = Decimal(0)
        self._first = Decimal(0)
        self._bought = Decimal(0)
        self._credits_per_usd = Decimal(0)

    def open(self) -> None:
        """Wait for the welcome credits and show them, in credits and in dollars."""
        credits = self._welcome_credits()
        self._talk.json("GET", BALANCE_PATH, credential=self._credential)
        wallet = self._talk.json("GET", WALLET_PATH, credential=self._credential)["data"]
        self._usd = self._first = Decimal(wallet["balance"])
        self._credits_per_usd = credits / self._usd
        self._screen.check(
            self._credits_per_usd == self._credits_per_usd.to_integral_value(),
            f"{_plain(credits)} credits are {usd(self._usd)}: one dollar is {_plain(self._credits_per_usd)} credits",
        )

    def charged(self, what: str, usage: Any) -> None:
        """Show what a call cost and check it against the wallet and against the last line of the history."""
        before, self._usd = self._usd, self._balance()
        taken = before - self._usd
        listed = -self._last_line() / self._credits_per_usd
        price = Price(what, int(usage["prompt_tokens"]), int(usage.get("completion_tokens", 0)), _named(usage, listed))
        self._prices.append(price)
        self._screen.say()
        self._screen.say(f"  tokens   {price.tokens_in} in, {price.tokens_out} out")
        self._screen.say(f"  price    {usd(price.usd)}")
        self._screen.say(f"  wallet   {usd(before)} before, {usd(self._usd)} after")
        self._screen.check(taken == price.usd, f"the wallet changed by {usd(taken)}, the price is {usd(price.usd)}")
        self._screen.check(listed == price.usd, f"the history lists {usd(listed)} for it")

    def bought(self, credits: Decimal) -> None:
        """Show what a purchase brought and check it against the wallet and against the last line of the history."""
        before, self._usd = self._usd, self._balance()
        came = self._usd - before
        self._bought += came
        listed = self._last_line()
        self._screen.say()
        self._screen.say(f"  wallet   {usd(before)} before, {usd(self._usd)} after")
        worth = usd(credits / self._credits_per_usd)
        self._screen.check(
            came * self._credits_per_usd == credits,
            f"the wallet changed by {usd(came)}, {_plain(credits)} credits are {worth}",
        )
        self._screen.check(listed == credits, f"the history lists {_plain(listed)} credits for it")

    def unchanged(self, why: str) -> None:
        """Check that nothing was charged."""
        before, self._usd = self._usd, self._balance()
        self._screen.check(before == self._usd, f"{why}: the wallet is still {usd(self._usd)}")

    def close(self) -> None:
        """Show all charges, and check that what came in less what was charged is what is left."""
        rows = [(p.what, str(p.tokens_in), str(p.tokens_out), usd(p.usd)) for p in self._prices]
        total = sum((price.usd for price in self._prices), Decimal(0))
        self._screen.table(("call", "tokens in", "tokens out", "price"), [*rows, ("together", "", "", usd(total))])
        self._screen.say()
        left = self._balance()
        came = f"welcome credit {usd(self._first)}" + (f" + purchase {usd(self._bought)}" if self._bought else "")
        due = self._first + self._bought - total
        self._screen.check(due == left, f"{came} - charges {usd(total)} = {usd(due)}, and the wallet holds {usd(left)}")
        history = self._history()
        listed = sum((Decimal(line["amount"]) for line in history), Decimal(0)) / self._credits_per_usd
        self._screen.check(listed == left, f"the {len(history)} lines of the history sum to {usd(listed)}")

    def _welcome_credits(self) -> Decimal:
        """Credits of the new account; they come right after registration, by an event."""
        for _ in range(int(WELCOME_SECONDS / ASK_AGAIN_SECONDS)):
            credits = Decimal(self._ask(BALANCE_PATH)["data"]["balance"])
            if credits > 0:
                return credits
            time.sleep(ASK_AGAIN_SECONDS)
        raise TourStopped(
            f"The new account has no credits after {WELCOME_SECONDS} seconds, so nothing can be bought. Set "
            "billing.welcome_credits above 0 for the tour."
        )

    def _balance(self) -> Decimal:
        wallet = self._ask(WALLET_PATH)["data"]
        if Decimal(wallet["held"]) != 0:
            self._screen.check(False, f"{usd(Decimal(wallet['held']))} is still set aside after the answer")
        return Decimal(wallet["balance"])

    def _last_line(self) -> Decimal:
        return Decimal(self._ask(f"{HISTORY_PATH}?page=1&limit=1")["data"][0]["amount"])

    def _history(self) -> Sequence[Any]:
        lines: Sequence[Any] = self._ask(f"{HISTORY_PATH}?page=1&limit=100")["data"]
        return lines

    def _ask(self, path: str) -> Any:
        return self._talk.json("GET", path, credential=self._credential, quietly=True)


def usd(amount: Decimal) -> str:
    """Dollars to the last digit."""
    return f"${_plain(amount)}"


def _named(usage: Any, listed: Decimal) -> Decimal:
    """The price in the answer; documents that have no field for it leave the history to tell."""
    return Decimal(usage["cost"]) if "cost" in usage else listed


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
