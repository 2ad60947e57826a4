"""Payments: credits bought with money."""

from cloudyard.domains.payments.bookkeeping import PaymentBooks
from cloudyard.domains.payments.errors import (
    ForgedPaymentEvent,
    PackageNotFound,
    PaymentFailed,
    PaymentMethodRefused,
    PaymentMismatch,
    PaymentNotFound,
    PaymentProviderUnavailable,
    PaymentRefused,
)
from cloudyard.domains.payments.jobs import PaymentReconciler
from cloudyard.domains.payments.ports import PaymentProvider
from cloudyard.domains.payments.price_list import PriceList
from cloudyard.domains.payments.records import (
    Notice,
    Order,
    Package,
    Payment,
    PaymentState,
    ProviderIntent,
    ProviderState,
    Purchase,
    RefundsChanged,
    Reversal,
    ReversalKind,
)
from cloudyard.domains.payments.service import Payments

__all__ = [
    "ForgedPaymentEvent",
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
    "RefundsChanged",
    "Reversal",
    "ReversalKind",
]
