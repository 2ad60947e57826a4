"""A Stripe of one's own for tests and development: localstripe, with the test payment methods that Stripe's accounts
have, and the events of payments and lists by time, which it lacks.

`python -m cloudyard.testing.local_stripe --port 12111`

It runs in a process of its own and ends with whoever started it.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import IO, Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

KEY = "sk_test_local"
BEHIND_THE_SERVER = 10
"""How nice it is to the server that starts at the same time (nice(2))."""
CARD = "pm_card_visa"
TEST_CARDS = {
    CARD: "4242424242424242",
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_authenticationRequired": "4000002760003184",
    "pm_card_authenticationRequiredChargeDeclined": "4000008400001629",
}
"""Source: Stripe documentation, Testing, Cards, PaymentMethods."""
INTENT_EVENTS = {
    "succeeded": "payment_intent.succeeded",
    "requires_action": "payment_intent.requires_action",
    "requires_payment_method": "payment_intent.payment_failed",
    "canceled": "payment_intent.canceled",
}
"""Events by the status that a request to a PaymentIntent leaves (Stripe API reference, Types of events)."""
MISSING = "The package localstripe is not installed: pip install 'cloudyard[demo]' brings it."


class LocalStripeMissing(Exception):
    """localstripe is not at hand."""


class WebhookEndpoint(msgspec.Struct, frozen=True):
    """Where events are posted, and the secret that they are signed with."""

    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class LocalStripe:
    """A running stand-in. `url` is the base URL of its API."""

    url: str
    _orders: IO[bytes]

    def send_events_to(self, endpoint: WebhookEndpoint) -> None:
        """Have every event posted to an endpoint, in place of the one before. Raises OSError if it has ended."""
        self._orders.write(msgspec.json.encode(endpoint) + b"\n")
        self._orders.flush()


@contextmanager
def running_local_stripe() -> Iterator[LocalStripe]:
    """A server on a free port of the loopback. Requests wait at its port until it is up.

    Raises `LocalStripeMissing`.
    """
    if find_spec("localstripe") is None:
        raise LocalStripeMissing(MISSING)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = _start(listener)
    if process.stdin is None:
        raise RuntimeError("the process was started without a pipe")
    try:
        yield LocalStripe(f"http://127.0.0.1:{port}", process.stdin)
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def local_stripe() -> Iterator[str]:
    """The base URL of a server on a free port of the loopback. Raises `LocalStripeMissing`."""
    with running_local_stripe() as running:
        yield running.url


def _start(listener: socket.socket) -> "subprocess.Popen[bytes]":
    descriptor = listener.fileno()
    return subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-m", "cloudyard.testing.local_stripe", "--listener", str(descriptor)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=[descriptor],
    )


def main() -> None:
    """Serve until told to stop; with `--listener` also until standard input, which brings orders, is closed."""
    parser = argparse.ArgumentParser(description="A Stripe for tests and development.")
    parser.add_argument("--port", type=int, default=12111, help="port on 127.0.0.1 [12111]")
    parser.add_argument("--listener", type=int, help="a socket that was inherited, in place of the port")
    options = parser.parse_args()
    if options.listener is None:
        _run(_application(), socket.create_server(("127.0.0.1", options.port)), handle_signals=True)
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which may need it a little longer
    os.nice(BEHIND_THE_SERVER)
    app = _application()
    threading.Thread(target=_follow_orders, daemon=True).start()
    _run(app, socket.socket(fileno=options.listener), handle_signals=False)


def _run(app: web.Application, listener: socket.socket, *, handle_signals: bool) -> None:
    web.run_app(app, sock=listener, print=None, access_log=None, handle_signals=handle_signals)


def _application() -> web.Application:
    """localstripe's, which keeps nothing on disk and knows Stripe's test cards. Raises `LocalStripeMissing`."""
    try:
        resources, server = (import_module(f"localstripe.{part}") for part in ("resources", "server"))
    except ImportError as error:
        raise LocalStripeMissing(MISSING) from error
    resources.store.dump_to_disk = lambda: None
    for name, number in TEST_CARDS.items():
        card = {"number": number, "exp_month": 12, "exp_year": 2034, "cvc": "123"}
        method = resources.PaymentMethod(type="card", card=card)
        method.id = name
        resources.store[f"payment_method:{name}"] = method
    app: web.Application = server.app
    _list_by_time(app, resources, server)
    app.middlewares.append(_telling_of_payments(resources))
    return app


def _list_by_time(app: web.Application, resources: Any, server: Any) -> None:
    """Lists refunds and disputes by their beginning. `POST /_config/disputes` says how a dispute stands, which banks
    decide at Stripe.
    """

    class Dispute(resources.StripeObject):  # type: ignore[misc]
        object = "dispute"
        _id_prefix = "dp_"

        def __init__(self, about: dict[str, Any]) -> None:
            super().__init__(about["id"])
            for name, value in about.items():
                setattr(self, name, value)

    def by_time(list_all: Any) -> Any:
        def listed(url: str, created: dict[str, str] | None = None, **query: Any) -> Any:
            found = list_all(url, **query)
            since = int((created or {}).get("gte", 0))
            found._list = [each for each in found._list if each.created >= since]
            return found

        return listed

    async def dispute(request: web.Request) -> web.Response:
        about = await request.json()
        resources.store.pop(f"dispute:{about['id']}", None)
        return web.json_response(Dispute(about)._export())

    for kind in (resources.Refund, Dispute):
        kind._api_list_all = by_time(kind._api_list_all)
    app.router.add_get("/v1/disputes", server.api_list_all(Dispute, "/v1/disputes"))
    app.router.add_post("/_config/disputes", dispute)


def _telling_of_payments(resources: Any) -> Middleware:
    """Schedules the event of every request that changes a PaymentIntent or refunds a charge."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        finally:
            if request.method == "POST" and (intent_id := request.match_info.get("id", "")).startswith("pi_"):
                intent = resources.PaymentIntent._api_retrieve(intent_id)
                if intent.status in INTENT_EVENTS:
                    resources.schedule_webhook(resources.Event(INTENT_EVENTS[intent.status], intent))
        if (request.method, request.path) == ("POST", "/v1/refunds") and isinstance(response, web.Response):
            refund = msgspec.json.decode(response.text or "{}")
            charge = resources.Charge._api_retrieve(refund["charge"])
            resources.schedule_webhook(resources.Event("charge.refunded", charge))
        return response

    return middleware


def _follow_orders() -> None:
    """Each line of the input names an endpoint; its end is the end of whoever wanted the server."""
    webhooks = import_module("localstripe.webhooks")
    for line in sys.stdin.buffer:
        endpoint = msgspec.json.decode(line, type=WebhookEndpoint)
        webhooks.register_webhook("endpoint", endpoint.url, endpoint.secret, None)
    os._exit(0)


if __name__ == "__main__":
    main()
