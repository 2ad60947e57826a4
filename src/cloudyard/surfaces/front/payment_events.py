"""Where Stripe tells of payments.

At the front door and not on a surface: Stripe is no user of any of them, its address must not change with a surface's
prefix or port, and a surface's limits must not turn it away. The signature is what identifies it.
"""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

PATH = "/webhooks/stripe"
SIGNATURE = "stripe-signature"

Receive = Callable[[bytes, str | None], Awaitable[None]]


def add_payment_events(app: FastAPI, receive: Receive) -> None:
    """Add the receiver to the front door. Any answer but 200 makes Stripe send the event again."""

    async def payment_event(request: Request) -> Response:
        await receive(await request.body(), request.headers.get(SIGNATURE))
        return JSONResponse({"received": True})

    app.add_api_route(PATH, payment_event, methods=["POST"], include_in_schema=False)
