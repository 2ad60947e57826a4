"""Whether a webhook is to be believed: Standard Webhooks 1.0.0, and the signature that the document shows."""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping

import pydantic

from smartaihub._errors import WebhookVerificationError
from smartaihub.types.webhooks import WebhookEvent

TOLERANCE_SECONDS = 300.0
PREFIX = "whsec_"

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
DOCUMENT_SIGNATURE = "x-webhook-signature"


def verify_webhook(
    body: bytes, headers: Mapping[str, str], secret: str, tolerance: float | None = TOLERANCE_SECONDS
) -> WebhookEvent:
    """The event of a webhook that arrived, once its signature is found to be right.

    `body` is the exact bytes that were received, before any JSON is decoded. The headers of Standard Webhooks are
    checked (`webhook-id`, `webhook-timestamp`, `webhook-signature`), whose signed time may differ from now by
    `tolerance` seconds at most. With `tolerance=None` the age is not checked, and the document's
    `X-Webhook-Signature`, which has no time of sending, is enough where the others are missing.
    Raises `WebhookVerificationError`.
    """
    given = {name.lower(): value for name, value in headers.items()}
    if SIGNATURE in given:
        _check_standard(body, given, secret, tolerance)
    elif tolerance is None:
        _check_document(body, given, secret)
    else:
        raise WebhookVerificationError(
            "The headers of Standard Webhooks are missing, so the webhook's age cannot be told. Pass on all headers, "
            "or give tolerance=None to go by X-Webhook-Signature alone."
        )
    try:
        return WebhookEvent.model_validate_json(body)
    except pydantic.ValidationError as error:
        raise WebhookVerificationError("The webhook is signed rightly, but its body is no event.") from error


def _check_standard(body: bytes, headers: Mapping[str, str], secret: str, tolerance: float | None) -> None:
    """Standard Webhooks, Signature scheme: `v1,` and the HMAC of id, time and body; one of several has to fit."""
    sent = headers.get(TIMESTAMP, "")
    signed = b".".join((headers.get(ID, "").encode(), sent.encode(), body))
    expected = base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest())
    fitting = [_same(f"v1,{expected.decode()}", each) for each in headers[SIGNATURE].split()]
    if not any(fitting):
        raise _wrong_signature(SIGNATURE)
    if tolerance is not None and not _is_near(sent, tolerance):
        raise WebhookVerificationError(
            f"The webhook was sent more than {tolerance:g} seconds from now ({TIMESTAMP}: {sent}). It is a replay, or "
            "this machine's clock is wrong."
        )


def _check_document(body: bytes, headers: Mapping[str, str], secret: str) -> None:
    """The document, Verifying Webhooks: `sha256=` and the HMAC of the body in hexadecimal."""
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not _same(expected, headers.get(DOCUMENT_SIGNATURE, "")):
        raise _wrong_signature(DOCUMENT_SIGNATURE)


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())


def _is_near(sent: str, tolerance: float) -> bool:
    try:
        return abs(time.time() - int(sent)) <= tolerance
    except ValueError:
        return False


def _key(secret: str) -> bytes:
    """The bytes behind `whsec_`; a secret of another form is taken as it is written."""
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True) or secret.encode()
    except binascii.Error:
        return secret.encode()


def _wrong_signature(header: str) -> WebhookVerificationError:
    return WebhookVerificationError(
        f"The signature in {header} is missing or was not made with this secret over this body. Use the secret of "
        "this webhook, and the bytes exactly as they were received."
    )
