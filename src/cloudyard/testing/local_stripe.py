"""A Stripe of one's own for tests and development: localstripe, with the test payment methods that Stripe's accounts
have. `python -m cloudyard.testing.local_stripe --port 12111`
"""

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from aiohttp import web

READY_SECONDS = 20.0
KEY = "sk_test_local"
TEST_CARDS = {
    "pm_card_visa": "4242424242424242",
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_authenticationRequired": "4000002760003184",
    "pm_card_authenticationRequiredChargeDeclined": "4000008400001629",
}
"""Source: Stripe documentation, Testing, Cards, PaymentMethods."""


class LocalStripeMissing(Exception):
    """localstripe is not at hand."""


@contextmanager
def local_stripe() -> Iterator[str]:
    """A server on a free port of the loopback; its base URL. Raises `LocalStripeMissing`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "cloudyard.testing.local_stripe", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # noqa: S603 - our own words
    try:
        _wait(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate()


def serve(port: int) -> None:
    """Serve for ever. Raises `LocalStripeMissing`."""
    try:
        resources, server = (import_module(f"localstripe.{part}") for part in ("resources", "server"))
    except ImportError as error:
        raise LocalStripeMissing("install the development dependency localstripe") from error
    resources.store.dump_to_disk = lambda: None
    for name, number in TEST_CARDS.items():
        card = {"number": number, "exp_month": 12, "exp_year": 2034, "cvc": "123"}
        method = resources.PaymentMethod(type="card", card=card)
        method.id = name
        resources.store[f"payment_method:{name}"] = method
    web.run_app(server.app, host="127.0.0.1", port=port, print=None, access_log=None)


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    process.kill()
    raise LocalStripeMissing(f"it did not start: {process.communicate()[1].decode(errors='replace')[-2000:]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A Stripe for tests and development.")
    parser.add_argument("--port", type=int, default=12111)
    serve(parser.parse_args().port)
