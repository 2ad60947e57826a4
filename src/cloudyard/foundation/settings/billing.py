"""Credits and prices."""

from decimal import Decimal

from pydantic import Field, field_validator

from cloudyard.foundation.money import CreditRate
from cloudyard.foundation.settings.area import Area


class PriceSettings(Area):
    """One price: dollars for so many units of a meter."""

    meter: str = Field(description="input_token, output_token, second, gb_hour or call.")
    usd: Decimal = Field(ge=0, description="Dollars.")
    per: int = Field(1, gt=0, description="Units that `usd` buys, e.g. 1000000 tokens.")


class BillingSettings(Area):
    """Credits and prices."""

    credits_per_usd: int = Field(100, gt=0, description="Credits in a dollar; must divide 1,000,000,000.")
    welcome_credits: int = Field(1000, ge=0, description="Credits given to a new user.")
    hold_seconds: int = Field(600, ge=30, description="Life of a hold that nobody extends.")
    low_balance_credits: int = Field(
        100, ge=0, description="A user who owns fewer credits is warned, once until they rose again; 0: never."
    )
    spend_cap_warning_percent: int = Field(
        80, ge=0, le=100, description="The owner of an API key is warned, once, at this share of its cap; 0: never."
    )
    prices: dict[str, list[PriceSettings]] = Field(
        default_factory=dict, description="Price book entries by SKU, e.g. `model:smollm2-135m`."
    )

    @field_validator("credits_per_usd")
    @classmethod
    def _whole_nanos(cls, value: int) -> int:
        return CreditRate(value).credits_per_usd
