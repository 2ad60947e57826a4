"""Payments: credits bought with money."""

from cloudyard.domains.payments.bookkeeping import PaymentBooks
from cloudyard.domains.payments.errors import (
    ForgedPaymentEvent,
    NotRefundable,
    PackageNotFound,
    PaymentFailed,
    PaymentMethodRefused,
    PaymentMismatch,
    PaymentNotFound,
    PaymentProviderUnavailable,
    PaymentRefused,
    RefundRefused,
    TooManyOpenPurchases,
)
from cloudyard.domains.payments.jobs import PaymentReconciler
from cloudyard.domains.payments.missed_reversals import MissedReversals
from cloudyard.domains.payments.ports import PaymentProvider
from cloudyard.domains.payments.price_list import PriceList
from cloudyard.domains.payments.records import (
    Notice,
    Order,
    Package,
    Payment,
    PaymentOverview,
    PaymentState,
    ProviderIntent,
    ProviderState,
    Purchase,
    Refund,
    RefundsChanged,
    RefundState,
    Reversal,
    ReversalKind,
)
from cloudyard.domains.payments.refunds import Refunds
from cloudyard.domains.payments.service import Payments
from cloudyard.domains.payments.verification import verify_payments

__all__ = [
    "ForgedPaymentEvent",
    "MissedReversals",
    "NotRefundable",
    "Notice",
    "Order",
    "Package",
    "PackageNotFound",
    "Payment",
    "PaymentBooks",
    "PaymentFailed",
    "PaymentMethodRefused",
    "PaymentMismatch",
    "PaymentNotFound",
    "PaymentOverview",
    "PaymentProvider",
    "PaymentProviderUnavailable",
    "PaymentReconciler",
    "PaymentRefused",
    "PaymentState",
    "Payments",
    "PriceList",
    "ProviderIntent",
    "ProviderState",
    "Purchase",
    "Refund",
    "RefundRefused",
    "RefundState",
    "Refunds",
    "RefundsChanged",
    "Reversal",
    "ReversalKind",
    "TooManyOpenPurchases",
    "verify_payments",
]
