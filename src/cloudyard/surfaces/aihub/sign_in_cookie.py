"""The cookie that ties a sign-in to the browser that began it (RFC 9700, section 4.7).

One for each attempt, so that two tabs do not disturb each other. By https it is a `__Host-` cookie, which no other
host of the same domain can plant (RFC 6265bis).
"""

from hashlib import sha256

from fastapi import Request, Response

from cloudyard.domains.identity import Departure

NAME = "cloudyard_sign_in_"


def keep_sign_in(request: Request, response: Response, departure: Departure) -> None:
    """Give the browser the secret that it must come back with."""
    response.set_cookie(
        _name(request, departure.state),
        departure.secret,
        max_age=departure.seconds,
        secure=request.state.https,
        httponly=True,
        samesite="lax",  # it must come along when the provider sends the browser back
    )


def sign_in_secret(request: Request, state: str | None) -> str | None:
    """The secret that the browser came back with."""
    return request.cookies.get(_name(request, state)) if state is not None else None


def forget_sign_in(request: Request, response: Response, state: str | None) -> None:
    """Take the secret from the browser."""
    if state is not None:
        response.delete_cookie(_name(request, state), secure=request.state.https, httponly=True, samesite="lax")


def _name(request: Request, state: str) -> str:
    prefix = "__Host-" if request.state.https else ""
    return prefix + NAME + sha256(state.encode("utf-8", "surrogatepass")).hexdigest()[:16]
