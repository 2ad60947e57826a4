"""Charges of any amount, made as a billable call makes them."""

from cloudyard.domains.billing import Charge, Meter, Payer, PriceLine, Usage
from cloudyard.foundation.money import nanos_from_usd
from cloudyard.wiring import Services

ONE_NANO = (PriceLine(Meter.CALL, 1),)


async def set_aside(services: Services, user_id: str, usd: str) -> Charge:
    """Open a charge that holds an amount."""
    price = await services.prices.publish("testing:spending", ONE_NANO)
    return await services.charges.open(Payer(user_id), price, {Meter.CALL: nanos_from_usd(usd)}, "A task")


async def spend(services: Services, user_id: str, usd: str, *, of: str) -> None:
    """Charge an amount of a hold, and give the rest back."""
    charge = await set_aside(services, user_id, of)
    await services.charges.settle(charge, Usage({Meter.CALL: nanos_from_usd(usd)}))
