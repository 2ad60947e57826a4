"""How credits are bought."""

from decimal import Decimal

from pydantic import Field, SecretStr, field_validator

from cloudyard.foundation.settings.area import Area

STRIPE_URL = "https://api.stripe.com"
CENTS_PER_USD = 100


def _whole_cents(usd: Decimal) -> Decimal:
    if usd * CENTS_PER_USD % 1:
        raise ValueError("must be a whole number of cents")
    return usd


class PackageSettings(Area):
    """A package of credits."""

    name: str = Field(description="What buyers see.")
    credits: int = Field(gt=0, description="Credits that the buyer gets.")
    usd: Decimal = Field(gt=0, le=100_000, description="Dollars that the buyer pays; whole cents.")

    _usd = field_validator("usd")(_whole_cents)


def default_packages() -> dict[str, PackageSettings]:
    """Packages at the default rate of 100 credits a dollar; the larger ones carry a discount."""
    return {
        "pkg_starter": PackageSettings(name="Starter", credits=1_000, usd=Decimal(10)),
        "pkg_plus": PackageSettings(name="Plus", credits=5_000, usd=Decimal(48)),
        "pkg_team": PackageSettings(name="Team", credits=20_000, usd=Decimal(180)),
    }


class PaymentSettings(Area):
    """Payments through Stripe. Without a key nothing can be bought, and an administrator grants credits by hand."""

    stripe_key: SecretStr | None = Field(None, description="Stripe's secret key, `sk_...` or a restricted `rk_...`.")
    stripe_webhook_secret: SecretStr | None = Field(
        None, description="Signing secret, `whsec_...`, of the webhook endpoint that points at /webhooks/stripe."
    )
    stripe_url: str = Field(STRIPE_URL, description="Where Stripe's API is.")
    timeout_seconds: float = Field(30, gt=0, description="Give up on a request to Stripe after this long.")
    packages: dict[str, PackageSettings] = Field(
        default_factory=default_packages, description="What can be bought, by id, e.g. `pkg_starter`."
    )
    smallest_usd: Decimal = Field(
        Decimal("0.50"), gt=0, description="Smallest purchase of a free amount, in dollars; Stripe takes none below."
    )
    largest_usd: Decimal = Field(Decimal(10_000), gt=0, description="Largest purchase of a free amount, in dollars.")
