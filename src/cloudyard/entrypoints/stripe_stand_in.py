"""A stand-in of Stripe for a development server, so that credits can be bought before anybody has an account there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from cloudyard.foundation.errors import FeatureUnavailable, InvalidInput
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.settings import Settings
from cloudyard.surfaces.front.payment_events import PATH as PAYMENT_EVENTS
from cloudyard.testing.local_stripe import (
    KEY,
    LocalStripe,
    LocalStripeMissing,
    WebhookEndpoint,
    running_local_stripe,
)

SECRET_BYTES = 24


@dataclass(frozen=True, slots=True)
class StandIn:
    """A running stand-in, and the secret that it signs its events with."""

    stripe: LocalStripe
    secret: str

    @property
    def url(self) -> str:
        """Where its API is."""
        return self.stripe.url

    def configure(self, settings: Settings) -> Settings:
        """The settings of a server that sells through it."""
        payments = {
            "stripe_url": self.url,
            "stripe_key": SecretStr(KEY),
            "stripe_webhook_secret": SecretStr(self.secret),
        }
        return settings.model_copy(update={"payments": settings.payments.model_copy(update=payments)})

    def tell_server(self, url: str) -> None:
        """Send its events to the server at `url` from now on. Raises `FeatureUnavailable` if it has ended."""
        try:
            self.stripe.send_events_to(WebhookEndpoint(url + PAYMENT_EVENTS, self.secret))
        except OSError as error:
            raise FeatureUnavailable(
                "The stand-in of Stripe ended as soon as it was started; the log above says why. Start without it, "
                "or set a key of your own in payments.stripe_key."
            ) from error


@contextmanager
def stripe_stand_in(settings: Settings, ids: Ids) -> Iterator[StandIn | None]:
    """A running stand-in; None where the settings have a key of their own, which wins.

    Raises `InvalidInput` in the production profile, `FeatureUnavailable` where it is not installed.
    """
    if not settings.development:
        raise InvalidInput(
            "A stand-in of Stripe is for the development profile alone, since nobody pays for its credits. Leave "
            "--stripe-stand-in out and set payments.stripe_key, or add --profile development."
        )
    if settings.payments.stripe_key is not None:
        yield None
        return
    try:
        with running_local_stripe() as stripe:
            yield StandIn(stripe, f"whsec_{ids.token(SECRET_BYTES)}")
    except LocalStripeMissing as error:
        raise FeatureUnavailable(f"The stand-in of Stripe cannot be started. {error}") from error
