"""What things cost, who used what, and the charge around every billable call."""

from cloudyard.domains.billing.charges import Charge, Charges, Payer, Usage, UsageOutcome
from cloudyard.domains.billing.errors import PriceMissing, SpendCapReached
from cloudyard.domains.billing.jobs import WelcomeConsumer
from cloudyard.domains.billing.prices import Meter, Price, PriceBook, PriceLine
from cloudyard.domains.billing.records import Settlement, UsageRecord
from cloudyard.domains.billing.service import Billing
from cloudyard.domains.billing.usage_feed import UsageFeed
from cloudyard.domains.billing.verification import verify
from cloudyard.domains.billing.warnings import BillingWarnings

__all__ = [
    "Billing",
    "BillingWarnings",
    "Charge",
    "Charges",
    "Meter",
    "Payer",
    "Price",
    "PriceBook",
    "PriceLine",
    "PriceMissing",
    "Settlement",
    "SpendCapReached",
    "Usage",
    "UsageFeed",
    "UsageOutcome",
    "UsageRecord",
    "WelcomeConsumer",
    "verify",
]
