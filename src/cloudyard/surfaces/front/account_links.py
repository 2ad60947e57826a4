"""Where the links in mails lead: verifying an e-mail address, choosing a new password.

Opening a link only shows a form: mail scanners open links too, and must not use them up.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, Response

from cloudyard.domains.identity import Recovery, WeakPassword
from cloudyard.foundation.errors import DomainError
from cloudyard.surfaces.front.policy import FORM_POLICY, STYLE
from cloudyard.web.errors import STATUS_OF_KIND, log_withheld

VERIFY = "/verify-email"
RESET = "/reset-password"
PATHS = (VERIFY, RESET)

TEMPLATE = Template(files(__package__).joinpath("account_page.html").read_text(encoding="utf-8"))
HEADERS = {"Cache-Control": "no-store", "Content-Security-Policy": FORM_POLICY}

HIDDEN_FIELD = '<input type="hidden" name="token" value="{token}">'
INPUT_FIELDS = (
    "<p><label>New password "
    '<input type="password" name="new_password" autocomplete="new-password" required></label></p>'
)

Act = Callable[[str, str], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Link:
    """A kind of link: what its page says, what its form asks, what it does with token and password."""

    path: str
    title: str
    words: str
    fields: str
    button: str
    done: str
    act: Act


def add_account_links(app: FastAPI, recovery: Recovery) -> None:
    """Add both pages to the front door."""
    for link in _links(recovery):
        app.add_api_route(link.path, _form(link), methods=["GET"], include_in_schema=False)
        app.add_api_route(link.path, _use(link), methods=["POST"], include_in_schema=False)


def _links(recovery: Recovery) -> tuple[Link, Link]:
    return (
        Link(
            VERIFY,
            "Verify your e-mail address",
            "Confirm that this address is yours.",
            "",
            "It is mine",
            "Your e-mail address is verified.",
            lambda token, _password: recovery.verify_email(token),
        ),
        Link(
            RESET,
            "Choose a new password",
            "It takes effect at once and ends every session.",
            INPUT_FIELDS,
            "Set it",
            "Your password is changed. Sign in with the new one.",
            recovery.reset_password,
        ),
    )


def _form(link: Link) -> Callable[[Request], Awaitable[Response]]:
    async def show(request: Request) -> Response:
        return _page(link, link.words, form=_form_of(link, request.query_params.get("token", "")))

    return show


def _use(link: Link) -> Callable[[Request], Awaitable[Response]]:
    async def use(request: Request) -> Response:
        async with request.form(max_files=0, max_fields=4) as form:
            token, password = (str(form.get(name, "")) for name in ("token", "new_password"))
        try:
            await link.act(token, password)
        except DomainError as refusal:
            log_withheld(refusal)
            again = _form_of(link, token) if isinstance(refusal, WeakPassword) else ""
            return _page(link, refusal.message, form=again, status=STATUS_OF_KIND[refusal.kind])
        return _page(link, link.done)

    return use


def _form_of(link: Link, token: str) -> str:
    hidden = HIDDEN_FIELD.format(token=escape(token))
    return f'<form method="post" action="{link.path}">{hidden}{link.fields}<button>{link.button}</button></form>'


def _page(link: Link, words: str, *, form: str = "", status: int = 200) -> Response:
    html = TEMPLATE.substitute(style=STYLE, title=link.title, words=escape(words), form=form)
    return HTMLResponse(html, status, headers=HEADERS)
