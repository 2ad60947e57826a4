"""The `session` cookie of browsers: the access token, out of reach of scripts (RFC 6265bis).

Against requests that other sites cause it is `SameSite=Lax`, and the gate ignores it in requests that change
something and come from another origin.
"""

from fastapi import Request, Response

from cloudyard.domains.identity import TokenPair
from cloudyard.surfaces.neurogrid.policy import SESSION_COOKIE


def keep_session(request: Request, response: Response, pair: TokenPair) -> None:
    """Give the session to the browser, for as long as its access token lives."""
    response.set_cookie(
        SESSION_COOKIE,
        pair.access_token,
        max_age=pair.expires_in,
        path=_path(request),
        secure=request.state.https,
        httponly=True,
        samesite="lax",
    )


def forget_session(request: Request, response: Response) -> None:
    """Take the session from the browser."""
    response.delete_cookie(
        SESSION_COOKIE, path=_path(request), secure=request.state.https, httponly=True, samesite="lax"
    )


def _path(request: Request) -> str:
    return request.scope.get("root_path") or "/"
