"""The pages that a user sees: what an application asks for, or what is wrong with its asking.

No script runs on them, nobody may show them in a frame, and their form can be sent to nobody but this server and, by
the redirect that follows, to where the application is (browsers check `form-action` against redirects too).
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse, Response

from cloudyard.domains.identity import OAuthClient, Scope, is_loopback
from cloudyard.surfaces.oauth.policy import AUTHORIZE, POLICY

TEMPLATE = Template(files(__package__).joinpath("consent_page.html").read_text(encoding="utf-8"))
STYLE = files(__package__).joinpath("consent_page.css").read_text(encoding="utf-8")
STYLE_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()

WORDS: Mapping[Scope, str] = {
    Scope.INFERENCE: "Ask models, at the cost of your credits, and read your chat history",
    Scope.FILES: "Read, add and delete your files",
    Scope.WALLET: "See your credits and what changed them",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What an application asks for. `carried` are the parameters that its form sends back."""

    client: OAuthClient
    redirect_uri: str
    scopes: tuple[Scope, ...]
    carried: Mapping[str, str]


def consent_page(asked: Asked, *, refusal: str | None = None, identifier: str = "", status: int = 200) -> Response:
    """The page that asks. `refusal` tells why the last answer was none."""
    told = f'<p class="bad" role="alert">{escape(refusal)}</p>' if refusal is not None else ""
    content = f"""<p>It will act in your name here, until you end it.</p>
<p class="note">{escape(_known(asked.client))} Afterwards you are sent to {escape(_place(asked.redirect_uri))}.</p>
{told}
<form method="post" action="{POLICY.prefix}{AUTHORIZE}">
{_hidden(asked.carried.items())}
<fieldset><legend>It may</legend>
{_ticks(asked.scopes)}
</fieldset>
<label>E-mail address or username
<input name="identifier" value="{escape(identifier[:254])}" autocomplete="username"></label>
<label>Password
<input type="password" name="password" autocomplete="current-password"></label>
<p><button name="decision" value="allow">Log in and allow</button><button name="decision" value="deny">Deny</button></p>
</form>"""
    return _page(f"Let “{asked.client.name}” in?", content, status, asked.redirect_uri)


def error_page(words: str, status: int, *, back: str | None = None, back_to: str = "") -> Response:
    """The page that says what is wrong; `back` takes the user to the application if the user wants that."""
    link = ""
    if back is not None:
        link = f'<p><a href="{escape(back)}" rel="noreferrer">Go back to {escape(_place(back_to))}</a></p>'
    return _page("This does not work", f'<p class="bad">{escape(words)}</p>{link}', status, None)


def _page(title: str, content: str, status: int, redirect_uri: str | None) -> Response:
    html = TEMPLATE.substitute(title=escape(title), style=STYLE, content=content)
    targets = "'self'" if redirect_uri is None else f"'self' {_source(redirect_uri)}"
    policy = (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action {targets}"
    )
    return HTMLResponse(html, status, headers={"Cache-Control": "no-store", "Content-Security-Policy": policy})


def _source(redirect_uri: str) -> str:
    """What stands for the address in a content policy: its origin, or its scheme where it has none."""
    parts = urlsplit(redirect_uri)
    if parts.scheme not in ("http", "https") or ":" in (parts.hostname or ""):
        return f"{parts.scheme}:"  # a policy cannot name an IPv6 address
    return f"{parts.scheme}://{parts.netloc}"


def _known(client: OAuthClient) -> str:
    if client.host is not None:
        return f"The application is known through {client.host}."
    return "The application has registered itself; nobody has checked its name."


def _place(redirect_uri: str) -> str:
    parts = urlsplit(redirect_uri)
    if is_loopback(redirect_uri):
        return "an application on this computer"
    if parts.scheme == "https":
        return parts.netloc
    return f"the application that opens {parts.scheme}: addresses"


def _hidden(fields: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields)


def _ticks(scopes: Iterable[Scope]) -> str:
    return "\n".join(
        f'<label><input type="checkbox" name="allow_scope" value="{scope}" checked> {WORDS[scope]}</label>'
        for scope in scopes
    )
