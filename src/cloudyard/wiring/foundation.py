"""Clock, database, secrets, outbox, telemetry and fan-out: what every service stands on."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from cloudyard import __version__
from cloudyard.backends.fan_out import open_fan_out
from cloudyard.foundation.clock import Clock, SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Outbox
from cloudyard.foundation.fan_out import FanOut
from cloudyard.foundation.ids import Ids, SystemIds
from cloudyard.foundation.places import needed
from cloudyard.foundation.secret_box import SecretBox, open_secret_box
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.telemetry import Metrics, Tracing, configure_tracing


@dataclass(frozen=True, slots=True)
class Foundation:
    """What every service stands on."""

    settings: Settings
    clock: Clock
    ids: Ids
    database: Database
    secrets: SecretBox
    outbox: Outbox
    metrics: Metrics
    tracing: Tracing
    fan_out: FanOut


def open_foundation(settings: Settings, stack: AsyncExitStack) -> Foundation:
    """Open what the settings name; `stack` closes it.

    Raises `PlaceUnusable`, `DatabaseUrlInvalid`, `SecretKeyInvalid`, and `FeatureUnavailable` for a missing extra.
    """
    clock = SystemClock()
    with needed(settings.data_dir, named_by="--data-dir"):
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    kept = settings.database
    database = Database(settings.database_url, pool_size=kept.pool_size, silence_seconds=kept.silence_seconds)
    stack.push_async_callback(database.close)
    key = settings.security.encryption_key
    secrets = open_secret_box(key.get_secret_value() if key else None, settings.data_dir / "encryption.key")
    export = configure_tracing(settings.telemetry, __version__)
    stack.callback(export.close)
    fan_out = open_fan_out(settings.limits, clock)
    stack.push_async_callback(fan_out.close)
    return Foundation(
        settings, clock, SystemIds(), database, secrets, Outbox(clock), Metrics(), export.tracing, fan_out
    )
