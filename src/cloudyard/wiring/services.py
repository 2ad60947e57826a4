"""What surfaces and commands are made of."""

import asyncio
from dataclasses import dataclass, field

from cloudyard.backends.local_models.llama_cpp import LlamaCppModels
from cloudyard.backends.model_store.catalogue_entries import default_prices
from cloudyard.domains.administration import Administration
from cloudyard.domains.audit import AuditLog
from cloudyard.domains.billing import Billing, Charges, PriceBook
from cloudyard.domains.billing.prices import price_lines
from cloudyard.domains.files import Files, ObjectStore
from cloudyard.domains.identity import (
    Activity,
    ApiKeys,
    Delegations,
    Federation,
    Mailer,
    OAuthClients,
    Recovery,
    Sessions,
    SigningKeys,
    Users,
)
from cloudyard.domains.inference import Catalogue, Conversations, Generation, Router, check_model_prices
from cloudyard.domains.ledger import Ledger
from cloudyard.domains.live import LiveFeed
from cloudyard.domains.notifications import Notifications, PushSubscriptions, VapidKeyStore
from cloudyard.domains.payments import Payments, Refunds
from cloudyard.domains.webhooks import LostSecrets, Webhooks
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import BackgroundWork, IdempotencyKeys
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.limiting import LimitStore
from cloudyard.foundation.money import CreditRate
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.telemetry import Metrics, Tracing, Traffic

SETTLED_WITHIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that surfaces and commands are made of."""

    settings: Settings
    clock: Clock
    ids: Ids
    database: Database
    metrics: Metrics
    tracing: Tracing
    limits: LimitStore
    objects: ObjectStore
    idempotency: IdempotencyKeys
    audit: AuditLog
    users: Users
    sessions: Sessions
    api_keys: ApiKeys
    recovery: Recovery
    federation: Federation
    signing_keys: SigningKeys
    mailer: Mailer
    credit_rate: CreditRate
    ledger: Ledger
    billing: Billing
    prices: PriceBook
    charges: Charges
    payments: Payments
    refunds: Refunds
    files: Files
    catalogue: Catalogue
    router: Router
    local_models: LlamaCppModels
    generation: Generation
    conversations: Conversations
    administration: Administration
    traffic: Traffic
    activity: Activity
    background: BackgroundWork
    notifications: Notifications
    push_keys: VapidKeyStore
    push_subscriptions: PushSubscriptions
    live: LiveFeed
    webhooks: Webhooks
    lost_webhook_secrets: LostSecrets
    delegations: Delegations
    oauth_clients: OAuthClients
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server was asked to stop: what stays open for as long as its client likes is to end now."""

    async def load(self) -> None:
        """Read prices and catalogue, and publish the prices that the settings name (the tables must exist).

        Raises `InvalidInput` for a price of a model that could never be charged.
        """
        configured = self.settings.billing.prices
        check_model_prices(configured)
        await self.prices.load()
        for sku, lines in {**default_prices(self.settings.inference), **configured}.items():
            await self.prices.publish(sku, price_lines(lines))
        await self.catalogue.load()

    async def stop(self) -> None:
        """End background work, once what is open has been settled."""
        await self.charges.ended(SETTLED_WITHIN_SECONDS)
        await self.background.stop()
        await self.activity.close()
