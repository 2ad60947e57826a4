"""What users are told of which event."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from cloudyard.domains.identity import EMAIL_CHANGED, PASSWORD_CHANGED, USER_CREATED
from cloudyard.domains.notifications.records import (
    IN_APP_AND_PUSH,
    IN_APP_ONLY,
    Category,
    Notice,
    Severity,
)
from cloudyard.foundation.durable import Delivered

WALLET_LOW = "wallet.low"
SPEND_CAP_NEAR = "spend_cap.near"
# Of domains that this one may not import:
PAYMENT_COMPLETED = "payment.completed"
PAYMENT_FAILED = "payment.failed"
PAYMENT_REFUNDED = "payment.refunded"
PAYMENT_DISPUTED = "payment.disputed"
PAYMENT_MISMATCH = "payment.mismatch"
WEBHOOK_DISABLED = "webhook.disabled"

Composer = Callable[[Delivered], Notice]


def _welcome(event: Delivered) -> Notice:
    return Notice(
        user_id=_user_id(event),
        source=event.kind,  # a user is welcomed once
        category=Category.ACCOUNT,
        severity=Severity.INFO,
        title="Welcome to Cloudyard",
        message="Your account has been created successfully.",
        channels=IN_APP_ONLY,  # identity mails the link that verifies the address
    )


def _password_changed(event: Delivered) -> Notice:
    return Notice(
        user_id=_user_id(event),
        source=_source(event),
        category=Category.ACCOUNT,
        severity=Severity.WARNING,
        title="Your password was changed",
        message="The password of your account was changed, and its other sessions were ended. If this was not you, "
        "ask for a new password at once and tell your administrator.",
        channels=IN_APP_ONLY,  # identity mails this whatever the user prefers; browsers have to register again
    )


def _email_changed(event: Delivered) -> Notice:
    return Notice(
        user_id=_user_id(event),
        source=_source(event),
        category=Category.ACCOUNT,
        severity=Severity.WARNING,
        title="Your e-mail address was changed",
        message="Your account has another e-mail address now. Open the link that was sent there to verify it.",
        channels=IN_APP_AND_PUSH,  # identity mails both addresses whatever the user prefers
    )


def _wallet_low(event: Delivered) -> Notice:
    return Notice(
        user_id=_user_id(event),
        source=_source(event),
        category=Category.BILLING,
        severity=Severity.WARNING,
        title="Your credits are running low",
        message=f"You have {event.payload['credits']} credits left, fewer than {event.payload['threshold_credits']}. "
        "Calls that cost more than you have are refused: add credits to go on.",
    )


def _spend_cap_near(event: Delivered) -> Notice:
    used = event.payload
    return Notice(
        user_id=_user_id(event),
        source=_source(event),
        category=Category.BILLING,
        severity=Severity.WARNING,
        title="An API key is close to its spend cap",
        message=f"The API key {used['key_prefix']}... has spent {used['spent_credits']} of the "
        f"{used['cap_credits']} credits that it may. Once they are spent its calls are refused: "
        "make a new key with a higher cap to go on.",
    )


def _payment_completed(event: Delivered) -> Notice:
    return Notice(
        user_id=_user_id(event),
        source=f"{event.kind}:{event.payload['payment_id']}",
        category=Category.BILLING,
        severity=Severity.SUCCESS,
        title="Your payment was received",
        message=f"Your payment of {_dollars(event)} was received, and the credits are in your balance.",
    )


def _payment_failed(event: Delivered) -> Notice:
    return Notice(
        user_id=_user_id(event),
        source=_source(event),
        category=Category.BILLING,
        severity=Severity.ERROR,
        title="Your payment failed",
        message=f"Your payment of {_dollars(event)} failed, and no credits were added. The reason given: "
        f"{event.payload['reason']} Try again, or use another payment method.",
    )


def _payment_refunded(event: Delivered) -> Notice:
    return Notice(
        user_id=_user_id(event),
        source=_source(event),
        category=Category.BILLING,
        severity=Severity.INFO,
        title="Your payment was refunded",
        message=f"Your payment of {_dollars(event)} was refunded, in whole or in part, and the credits that it had "
        "bought were taken from your balance.",
    )


def _payment_disputed(event: Delivered) -> Notice:
    return Notice(
        user_id=_user_id(event),
        source=_source(event),
        category=Category.BILLING,
        severity=Severity.WARNING,
        title="Your payment was disputed",
        message=f"Your bank disputes your payment of {_dollars(event)}. Until that is decided, the credits that it had "
        "bought are not in your balance.",
    )


def _payment_mismatch(event: Delivered) -> Notice:
    return Notice(
        user_id=None,  # administrators decide what becomes of it
        source=_source(event),
        category=Category.BILLING,
        severity=Severity.ERROR,
        title="Another amount was paid than was asked for",
        message=f"Payment {event.payload['payment_id']} was not credited. {event.payload['reason']}",
    )


def _webhook_disabled(event: Delivered) -> Notice:
    return Notice(
        user_id=None,  # webhooks belong to the installation
        source=_source(event),
        category=Category.WEBHOOKS,
        severity=Severity.ERROR,
        title="A webhook was disabled",
        message=f"Nothing is sent to the webhook {event.payload['webhook_id']} any more. {event.payload['reason']}",
    )


COMPOSERS: Mapping[str, Composer] = MappingProxyType(
    {
        USER_CREATED: _welcome,
        PASSWORD_CHANGED: _password_changed,
        EMAIL_CHANGED: _email_changed,
        WALLET_LOW: _wallet_low,
        SPEND_CAP_NEAR: _spend_cap_near,
        PAYMENT_COMPLETED: _payment_completed,
        PAYMENT_FAILED: _payment_failed,
        PAYMENT_REFUNDED: _payment_refunded,
        PAYMENT_DISPUTED: _payment_disputed,
        PAYMENT_MISMATCH: _payment_mismatch,
        WEBHOOK_DISABLED: _webhook_disabled,
    }
)


def _user_id(event: Delivered) -> str:
    """Whom an event concerns: the user that its payload names, else its subject."""
    return str(event.payload.get("user_id") or event.subject.removeprefix("user:"))


def _dollars(event: Delivered) -> str:
    dollars, cents = divmod(event.payload["cents"], 100)
    return f"{dollars}.{cents:02d} USD"


def _source(event: Delivered) -> str:
    """The event's name for all time: its number alone may be given again once old events are forgotten."""
    return f"{event.kind}:{event.created_at.isoformat()}:{event.id}"
