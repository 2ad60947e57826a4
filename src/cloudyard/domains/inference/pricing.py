"""Prices of models: only what inference counts can be charged."""

from collections.abc import Mapping, Sequence

from cloudyard.domains.billing import Meter
from cloudyard.domains.inference.records import SKU_PREFIX
from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.settings.billing import PriceSettings

COUNTED = (Meter.INPUT_TOKEN, Meter.OUTPUT_TOKEN, Meter.CALL)


def check_model_prices(prices: Mapping[str, Sequence[PriceSettings]]) -> None:
    """Refuse prices of models that would never be charged.

    Raises `InvalidInput` for a meter that inference does not count, which the price book alone takes as free.
    """
    for sku, lines in prices.items():
        uncounted = [line.meter for line in lines if line.meter not in COUNTED]
        if sku.startswith(SKU_PREFIX) and uncounted:
            raise InvalidInput(
                f"billing.prices.'{sku}' has a price by {', '.join(uncounted)}, which calls of a model are not counted "
                f"in, so that it would never be charged. Use {', '.join(COUNTED)}.",
                field=f"billing.prices.{sku}",
            )
