"""The process behind ledger.py: callers that charge as fast as they can.

`charges_process.py URL CALLERS SECONDS grouped|alone` prints one JSON line.
"""

import asyncio
import json
import sys
import time

import uvloop
from cloudyard_ledger import LedgerUnderTest, open_ledger

WARM_UP_SECONDS = 0.5


async def measure(url: str, callers: int, seconds: float, *, alone: bool) -> dict[str, float]:
    """Charges made in about `seconds`, each caller on a wallet of its own; the ledger must verify afterwards."""
    users = [f"caller-{number}" for number in range(callers)]
    async with open_ledger(url, users, alone=alone) as ledger:
        await _charge_together(ledger, users, WARM_UP_SECONDS)
        begun = time.perf_counter()
        charges = await _charge_together(ledger, users, seconds)
        elapsed = time.perf_counter() - begun
        if found := await ledger.discrepancies():
            raise SystemExit(f"the ledger does not verify: {found[:5]}")
    return {"charges": charges, "seconds": elapsed}


async def _charge_together(ledger: LedgerUnderTest, users: list[str], seconds: float) -> int:
    deadline = time.perf_counter() + seconds
    return sum(await asyncio.gather(*(_charge_until(ledger, user, deadline) for user in users)))


async def _charge_until(ledger: LedgerUnderTest, user: str, deadline: float) -> int:
    charges = 0
    while time.perf_counter() < deadline:
        await ledger.charge(user)
        charges += 1
    return charges


if __name__ == "__main__":
    address, how_many, how_long, mode = sys.argv[1:]
    print(json.dumps(uvloop.run(measure(address, int(how_many), float(how_long), alone=mode == "alone"))))
