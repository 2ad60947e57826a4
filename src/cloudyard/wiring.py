"""Settings -> backends -> services. The only place that knows concrete backends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from cloudyard import __version__
from cloudyard.backends.client_documents import HttpClientDocuments
from cloudyard.backends.fan_out import open_fan_out
from cloudyard.backends.generation.openai_compatible import OpenAICompatible
from cloudyard.backends.limits import open_limit_store
from cloudyard.backends.local_models.llama_cpp import LlamaCppModels
from cloudyard.backends.mail import open_mailer
from cloudyard.backends.model_store.catalogue_entries import default_models, default_prices, document_aliases
from cloudyard.backends.objects import open_object_store
from cloudyard.backends.oidc import open_identity_providers
from cloudyard.backends.payments import open_payment_provider
from cloudyard.backends.push import WebPush
from cloudyard.backends.webhooks import HttpSender
from cloudyard.domains.administration import Administration
from cloudyard.domains.audit import AuditLog
from cloudyard.domains.billing import Billing, BillingWarnings, Charges, PriceBook, UsageFeed, WelcomeConsumer
from cloudyard.domains.billing.prices import price_lines
from cloudyard.domains.files import FileReconciler, Files, ObjectStore
from cloudyard.domains.identity import (
    AccountMail,
    Activity,
    ApiKeys,
    Cleanup,
    CredentialCache,
    Delegations,
    ExternalAccounts,
    Federation,
    MailConsumer,
    Mailer,
    OAuthClients,
    Passwords,
    Recovery,
    Sessions,
    SharedForgetting,
    SignInAttempts,
    SigningKeys,
    Tokens,
    Users,
)
from cloudyard.domains.inference import Catalogue, Conversations, Generation, Observer, Router, check_model_prices
from cloudyard.domains.ledger import Ledger
from cloudyard.domains.live import LiveConsumer, LiveFeed, UsageFollowers
from cloudyard.domains.notifications import (
    BrowserConsumer,
    NoticeConsumer,
    Notifications,
    Postman,
    Pusher,
    PushSubscriptions,
    VapidKeyStore,
)
from cloudyard.domains.payments import MissedReversals, PaymentBooks, PaymentReconciler, Payments, PriceList, Refunds
from cloudyard.domains.webhooks import (
    Deliveries,
    DeliveryLogPruner,
    DeliveryRows,
    Disabling,
    LostSecrets,
    UsageWebhooks,
    Wakening,
    WebhookConsumer,
    Webhooks,
)
from cloudyard.foundation.clock import Clock, SystemClock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import BackgroundWork, Dispatcher, IdempotencyKeys, Outbox, Schedule, Scheduler, every
from cloudyard.foundation.durable.idempotency import EXTENDED_EVERY
from cloudyard.foundation.fan_out import FanOut
from cloudyard.foundation.ids import Ids, SystemIds
from cloudyard.foundation.limiting import LimitStore
from cloudyard.foundation.money import CreditRate
from cloudyard.foundation.outbound_addresses import AddressRules
from cloudyard.foundation.secret_box import SecretBox, open_secret_box
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.telemetry import Metrics, Tracing, Traffic, configure_tracing

EVENTS_KEPT = timedelta(days=7)
LIVE_KINDS = frozenset(
    {
        "user.updated",
        "credit.purchased",
        "payment.completed",
        "payment.failed",
        "notification.created",
    }
)
"""What users hear of as it happens."""
SETTLED_WITHIN_SECONDS = 10.0
TRAFFIC_SECONDS = 60.0
CATALOGUE_SECONDS = 5.0
"""How soon this process learns of a model or price that another one added."""


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


@dataclass(frozen=True, slots=True)
class Identity:
    """The services of the identity domain."""

    users: Users
    sessions: Sessions
    api_keys: ApiKeys
    recovery: Recovery
    federation: Federation
    activity: Activity
    cleanup: Cleanup
    signing_keys: SigningKeys
    mailer: Mailer
    delegations: Delegations
    oauth_clients: OAuthClients
    forget_what_ended_elsewhere: Callable[[], Awaitable[None]]


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


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Everything wired together; closed at the end. Raises `FeatureUnavailable` for a missing extra or setting."""
    async with AsyncExitStack() as stack:
        base = _foundation(settings, stack)
        yield await _services(base, stack)


def _foundation(settings: Settings, stack: AsyncExitStack) -> Foundation:
    clock = SystemClock()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url, pool_size=settings.database.pool_size)
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


def _oauth_clients(base: Foundation, stack: AsyncExitStack) -> OAuthClients:
    rules = AddressRules("oauth", allow_loopback=False, allowed_networks=base.settings.oauth.allowed_networks)
    documents = HttpClientDocuments(rules.check_address)
    stack.push_async_callback(documents.close)
    return OAuthClients(base.database, base.clock, base.ids, documents)


def _identity(base: Foundation, audit: AuditLog, stack: AsyncExitStack) -> Identity:
    security = base.settings.security
    forgetting = SharedForgetting(base.fan_out)
    cache = CredentialCache(base.clock, life_seconds=security.session_cache_seconds, tell=forgetting.tell)
    passwords = Passwords(min_length=security.password_min_length)
    link_base = base.settings.server.public_url or f"http://{base.settings.server.host}:{base.settings.server.port}"
    mail = AccountMail(
        base.outbox,
        base.clock,
        base.ids,
        base.secrets,
        security,
        link_base=link_base,
        available=base.settings.mail_backend != "none",
    )
    keys = SigningKeys(base.database, base.clock, base.ids, base.secrets, audit, security)
    tokens = Tokens(keys, base.clock, base.ids, security)
    activity = Activity(base.database, base.clock)
    clients = _oauth_clients(base, stack)
    mailer = open_mailer(base.settings.mail_backend, base.settings.mail, base.settings.data_dir / "mail")
    base.outbox.subscribe(MailConsumer(mailer, base.secrets, base.clock))
    sessions = Sessions(base.database, base.clock, base.ids, audit, passwords, tokens, cache, activity, security)
    return Identity(
        users=Users(base.database, base.clock, base.ids, base.outbox, audit, passwords, mail, cache),
        sessions=sessions,
        federation=_federation(base, audit, mail, sessions, stack),
        api_keys=ApiKeys(base.database, base.clock, base.ids, audit, cache),
        recovery=Recovery(base.database, base.clock, audit, passwords, mail, cache),
        activity=activity,
        cleanup=Cleanup(base.database, base.clock, keys, clients),
        signing_keys=keys,
        mailer=mailer,
        delegations=Delegations(base.database, base.clock, base.ids, audit, tokens, cache, activity),
        oauth_clients=clients,
        forget_what_ended_elsewhere=lambda: forgetting.run(cache),
    )


def _federation(
    base: Foundation, audit: AuditLog, mail: AccountMail, sessions: Sessions, stack: AsyncExitStack
) -> Federation:
    settings = base.settings.sign_in
    providers = open_identity_providers(settings, base.clock)
    stack.push_async_callback(providers.close)
    return Federation(
        base.database,
        base.clock,
        base.ids,
        audit,
        SignInAttempts(base.clock, base.ids, base.secrets),
        ExternalAccounts(base.clock, base.ids, base.outbox, audit, mail),
        sessions,
        providers.by_name,
        settings.redirect_uris,
    )


def _webhooks(
    base: Foundation, audit: AuditLog, stack: AsyncExitStack
) -> tuple[Webhooks, Deliveries, UsageWebhooks, LostSecrets]:
    settings, wakening = base.settings.webhooks, Wakening()
    rules = AddressRules(
        "webhooks", allow_loopback=base.settings.webhook_loopback, allowed_networks=settings.allowed_networks
    )
    sender = HttpSender(rules.check_address, timeout_seconds=settings.timeout_seconds)
    stack.push_async_callback(sender.close)
    disabling = Disabling(base.outbox, audit)
    lost_secrets = LostSecrets(base.clock, base.ids, base.secrets, disabling)
    rows = DeliveryRows(base.clock, CreditRate(base.settings.billing.credits_per_usd))
    base.outbox.subscribe(WebhookConsumer(base.database, rows, wakening))
    deliveries = Deliveries(
        base.database,
        base.clock,
        base.secrets,
        sender,
        disabling,
        wakening,
        at_once=settings.deliveries_at_once,
        timeout_seconds=settings.timeout_seconds,
    )
    webhooks = Webhooks(base.database, base.clock, base.ids, base.secrets, audit, rules, wakening)
    return webhooks, deliveries, UsageWebhooks(rows, wakening), lost_secrets


def _push(base: Foundation, audit: AuditLog, stack: AsyncExitStack) -> tuple[VapidKeyStore, PushSubscriptions, Pusher]:
    settings = base.settings.push
    rules = AddressRules(
        "push",
        allow_loopback=settings.allow_loopback,
        allowed_networks=settings.allowed_networks,
        field="endpoint",
    )
    sender = WebPush(
        base.clock,
        rules.check_address,
        contact=base.settings.push_contact,
        timeout_seconds=settings.timeout_seconds,
    )
    stack.push_async_callback(sender.close)
    keys = VapidKeyStore(base.database, base.clock, base.secrets, audit)
    subscriptions = PushSubscriptions(base.database, base.clock, base.ids, base.secrets, keys, rules)
    pusher = Pusher(base.database, base.clock, base.secrets, keys, sender, ttl_seconds=settings.ttl_seconds)
    return keys, subscriptions, pusher


async def _services(base: Foundation, stack: AsyncExitStack) -> Services:
    settings, clock, ids, database = base.settings, base.clock, base.ids, base.database
    audit = AuditLog(database, clock)
    identity = _identity(base, audit, stack)
    rate = CreditRate(settings.billing.credits_per_usd)
    ledger = Ledger(database, clock, ids, audit)
    billing = Billing(database, ledger, rate, welcome_credits=settings.billing.welcome_credits)
    base.outbox.subscribe(WelcomeConsumer(billing))
    notifications = Notifications(
        database,
        clock,
        ids,
        base.outbox,
        identity.users,
        settings.notifications,
        mail_available=settings.mail_backend != "none",
    )
    base.outbox.subscribe(NoticeConsumer(notifications))
    postman = Postman(database, clock, identity.users, identity.mailer)
    push_keys, push_subscriptions, pusher = _push(base, audit, stack)
    base.outbox.subscribe(BrowserConsumer(push_subscriptions))
    prices = PriceBook(database, clock, ids)
    charges = Charges(
        database,
        clock,
        ids,
        hold_life=timedelta(seconds=settings.billing.hold_seconds),
        on_group=base.metrics.ledger_group,
    )
    base.metrics.watch_holds_open(lambda: charges.running)
    payment_provider = open_payment_provider(settings.payments)
    stack.push_async_callback(payment_provider.close)
    payment_books = PaymentBooks(database, clock, ids, base.outbox, audit)
    price_list = PriceList(settings.payments, rate)
    payments = Payments(database, clock, ids, payment_provider, payment_books, price_list)
    refunds = Refunds(database, clock, ids, payment_provider, payment_books, audit)
    limits = await stack.enter_async_context(open_limit_store(settings.limits, clock))
    objects = open_object_store(settings.files.store or (settings.data_dir.resolve() / "objects").as_uri(), ids)
    stack.push_async_callback(objects.close)
    files = Files(database, clock, ids, objects, settings.files)
    catalogue = Catalogue(
        database,
        clock,
        base.secrets,
        settings.inference,
        settings.data_dir / "models",
        defaults=default_models(settings.inference),
        aliases=document_aliases(settings),
    )
    local_models = LlamaCppModels(settings.data_dir / "logs", clock, ids)
    stack.push_async_callback(local_models.close)
    provider = OpenAICompatible(base.tracing.outgoing_headers)
    stack.push_async_callback(provider.close)
    router = Router(clock)
    observer = Observer(base.metrics, base.tracing, clock, capture_content=settings.telemetry.capture_content)
    generation = Generation(catalogue, prices, charges, router, provider, local_models, observer)
    live = LiveFeed(database, clock, base.fan_out)
    base.outbox.subscribe(LiveConsumer(live, LIVE_KINDS))
    webhooks, deliveries, usage_webhooks, lost_webhook_secrets = _webhooks(base, audit, stack)
    usage_feed = UsageFeed(database, clock, rate, [UsageFollowers(clock, live), usage_webhooks])
    idempotency = IdempotencyKeys(database, clock)
    traffic = Traffic(base.metrics, clock)
    dispatcher = Dispatcher(database, base.outbox, clock)
    jobs = [
        Schedule("billing.release_expired_holds", timedelta(seconds=15), charges.release_expired),
        Schedule("durable.prune_idempotency_keys", timedelta(hours=1), idempotency.prune),
        Schedule("live.prune", timedelta(hours=1), live.prune),
        Schedule("durable.prune_events", timedelta(hours=1), lambda: dispatcher.prune(EVENTS_KEPT)),
        identity.cleanup.schedule(),
        notifications.schedule(),
        BillingWarnings(database, clock, base.outbox, rate, settings.billing).schedule(),
        FileReconciler(database, clock, objects).schedule(),
        DeliveryLogPruner(database, clock).schedule(),
        PaymentReconciler(database, clock, payment_provider, payment_books).schedule(),
        refunds.schedule(),
        MissedReversals(database, clock, payment_provider, payments).schedule(),
    ]
    keeper = every(clock, settings.billing.hold_seconds / 3, charges.extend_running)
    background = BackgroundWork(
        clock,
        {
            **dispatcher.loops(),
            "notices": postman.run,
            "pushes": pusher.run,
            "webhooks": deliveries.run,
            "usage": usage_feed.run,
            "schedules": Scheduler(database, clock, jobs).run,
            "holds": keeper,
            "idempotency_keys": every(clock, EXTENDED_EVERY.total_seconds(), idempotency.extend_running),
            "activity": identity.activity.run,
            "traffic": every(clock, TRAFFIC_SECONDS, traffic.mark),
            "forgetting": identity.forget_what_ended_elsewhere,
            "catalogue": every(clock, CATALOGUE_SECONDS, catalogue.load),
            "prices": every(clock, CATALOGUE_SECONDS, prices.load),
        },
    )
    return Services(
        settings=settings,
        clock=clock,
        ids=ids,
        database=database,
        metrics=base.metrics,
        tracing=base.tracing,
        limits=limits,
        objects=objects,
        idempotency=idempotency,
        audit=audit,
        administration=Administration(database, clock, ids, audit, identity.users),
        traffic=traffic,
        users=identity.users,
        sessions=identity.sessions,
        api_keys=identity.api_keys,
        recovery=identity.recovery,
        federation=identity.federation,
        signing_keys=identity.signing_keys,
        mailer=identity.mailer,
        credit_rate=rate,
        ledger=ledger,
        billing=billing,
        prices=prices,
        charges=charges,
        payments=payments,
        refunds=refunds,
        files=files,
        catalogue=catalogue,
        router=router,
        local_models=local_models,
        generation=generation,
        conversations=Conversations(database, clock, ids),
        activity=identity.activity,
        background=background,
        notifications=notifications,
        push_keys=push_keys,
        push_subscriptions=push_subscriptions,
        live=live,
        webhooks=webhooks,
        lost_webhook_secrets=lost_webhook_secrets,
        delegations=identity.delegations,
        oauth_clients=identity.oauth_clients,
    )
