"""Backends of the payments domain's `PaymentProvider` port."""

from cloudyard.backends.payments.absent import AbsentProvider
from cloudyard.backends.payments.stripe import StripeProvider
from cloudyard.foundation.settings.payments import PaymentSettings

Provider = AbsentProvider | StripeProvider


def open_payment_provider(settings: PaymentSettings) -> Provider:
    """Stripe where the settings have a key; else a provider that says what to set."""
    return StripeProvider(settings) if settings.stripe_key is not None else AbsentProvider()
