"""The stop that has a webhook delivered and verifies it."""

import base64
import hashlib
import hmac
import json
import shlex
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from cloudyard.entrypoints.tour.curl import Credential, assignment
from cloudyard.entrypoints.tour.money import Purse
from cloudyard.entrypoints.tour.receiver import Received, Receiver, receiver
from cloudyard.entrypoints.tour.screen import Screen
from cloudyard.entrypoints.tour.talk import Refused, Talk

LOGIN_PATH = "/aihub/api/auth/login"
PROFILE_PATH = "/aihub/api/users/me"
WEBHOOKS_PATH = "/aihub/api/admin/webhooks"
EVENT = "user.updated"
WITHIN_SECONDS = 20
THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Administrator:
    """Who may create webhooks."""

    email: str
    password: str


def webhook(talk: Talk, screen: Screen, purse: Purse, token: Credential, administrator: Administrator | None) -> None:
    """Have an event of the visitor delivered to a receiver on this machine, verify it, and tidy up."""
    screen.stop("A webhook", "Posted to a small receiver that the tour runs, and verified as a receiver should.")
    if urlsplit(talk.url("/")).hostname not in THIS_MACHINE:
        screen.skipped("The receiver listens on this machine alone, and the server is on another.")
        return
    admin = _log_in(talk, screen, administrator)
    if admin is None:
        return
    with receiver() as listening:
        created = _create(talk, screen, admin, listening.url)
        if created is None:
            return
        try:
            _receive(talk, screen, token, listening, created["secret"])
        finally:
            talk.json("DELETE", f"{WEBHOOKS_PATH}/{created['id']}", credential=admin)
    purse.unchanged("webhooks are not charged")


def _log_in(talk: Talk, screen: Screen, administrator: Administrator | None) -> Credential | None:
    """The administrator's token. It is not shown, but how to get one is."""
    if administrator is None:
        screen.skipped(
            "Administrators create webhooks: set CLOUDYARD_ADMIN_EMAIL and CLOUDYARD_ADMIN_PASSWORD for the tour."
        )
        return None
    body = {"email": administrator.email, "password": administrator.password}
    try:
        answer = talk.json("POST", LOGIN_PATH, body=body, quietly=True)
    except Refused as refusal:
        if refusal.status != HTTPStatus.UNAUTHORIZED:
            raise
        screen.skipped(f"The server does not know {administrator.email} by the password in CLOUDYARD_ADMIN_PASSWORD.")
        return None
    screen.command(_login_line(talk.url(LOGIN_PATH)))
    return Credential("ADMIN", answer["data"]["tokens"]["accessToken"])


def _login_line(url: str) -> str:
    body = '"{\\"email\\": \\"$CLOUDYARD_ADMIN_EMAIL\\", \\"password\\": \\"$CLOUDYARD_ADMIN_PASSWORD\\"}"'
    extract = r"""sed 's/.*"accessToken": *"\([^"]*\)".*/\1/'"""
    return f"ADMIN=$(curl -s {url} \\\n  -H 'Content-Type: application/json' \\\n  -d {body} |\n  {extract})"


def _create(talk: Talk, screen: Screen, admin: Credential, url: str) -> Any:
    """A new webhook with its secret; None where webhooks may not go to this machine."""
    try:
        created = talk.json("POST", WEBHOOKS_PATH, body={"url": url, "events": [EVENT]}, credential=admin)["data"]
    except Refused as refusal:
        if refusal.status != HTTPStatus.UNPROCESSABLE_ENTITY:
            raise
        screen.skipped(refusal.said)
        return None
    screen.command(assignment(Credential("SECRET", created["secret"])))
    return created


def _receive(talk: Talk, screen: Screen, token: Credential, listening: Receiver, secret: str) -> None:
    visitor = talk.json("PUT", PROFILE_PATH, body={"lastName": "Lovelace"}, credential=token)["data"]
    found = _about(listening, visitor["id"])
    screen.say()
    if found is None:
        screen.check(False, f"{EVENT} was not delivered within {WITHIN_SECONDS} seconds")
        return
    screen.say(f"  POST {listening.url}")
    for name in ("x-webhook-signature", "webhook-id", "webhook-timestamp", "webhook-signature"):
        screen.say(f"  {name}: {found.headers.get(name, '')}")
    text = found.body.decode()
    screen.answer(json.loads(text))
    screen.command(f"printf '%s' {shlex.quote(text)} |\nopenssl dgst -sha256 -hmac \"$SECRET\"")
    screen.check(_signed_as_documented(found, secret), "X-Webhook-Signature is the HMAC-SHA256 of these bytes")
    screen.check(_signed_by_standard(found, secret), "webhook-signature is that of Standard Webhooks")


def _about(listening: Receiver, user_id: str) -> Received | None:
    """The delivery about the visitor; others change their profiles too."""
    until = time.monotonic() + WITHIN_SECONDS
    while (found := listening.next(until - time.monotonic())) is not None:
        event: Any = json.loads(found.body)
        if event["data"].get("userId") == user_id:
            return found
    return None


def _signed_as_documented(found: Received, secret: str) -> bool:
    """Smart AI Hub's document, Verifying Webhooks."""
    digest = hmac.new(secret.encode(), found.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"sha256={digest}", found.headers.get("x-webhook-signature", ""))


def _signed_by_standard(found: Received, secret: str) -> bool:
    """Standard Webhooks 1.0.0: `v1,` and the base64 of the HMAC over id, time and body."""
    names = ("webhook-id", "webhook-timestamp")
    signed = b".".join([*(found.headers.get(name, "").encode() for name in names), found.body])
    digest = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    expected = f"v1,{base64.b64encode(digest).decode()}"
    return any(hmac.compare_digest(expected, given) for given in found.headers.get("webhook-signature", "").split())
