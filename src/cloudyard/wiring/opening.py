"""Every area opened in its order, and closed in the opposite one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from cloudyard.backends.limits import open_limit_store
from cloudyard.backends.objects import open_object_store
from cloudyard.domains.administration import Administration
from cloudyard.domains.audit import AuditLog
from cloudyard.domains.files import FileReconciler, Files
from cloudyard.foundation.durable import BackgroundWork, Dispatcher, IdempotencyKeys, Schedule, Scheduler, every
from cloudyard.foundation.durable.idempotency import EXTENDED_EVERY
from cloudyard.foundation.settings import Settings
from cloudyard.foundation.telemetry import Traffic
from cloudyard.wiring.events import open_events
from cloudyard.wiring.foundation import Foundation, open_foundation
from cloudyard.wiring.identity import open_identity
from cloudyard.wiring.inference import open_inference
from cloudyard.wiring.money import open_money
from cloudyard.wiring.services import Services

EVENTS_KEPT = timedelta(days=7)
PRUNED_EVERY = timedelta(hours=1)
TRAFFIC_SECONDS = 60.0


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Everything wired together; closed at the end.

    Raises `FeatureUnavailable` for a missing extra or setting, `PlaceUnusable`, `DatabaseUrlInvalid` or
    `SecretKeyInvalid`.
    """
    async with AsyncExitStack() as stack:
        base = open_foundation(settings, stack)
        yield await _services(base, stack)


async def _services(base: Foundation, stack: AsyncExitStack) -> Services:
    settings, clock, ids, database = base.settings, base.clock, base.ids, base.database
    audit = AuditLog(database, clock)
    identity = open_identity(base, audit, stack)
    money = open_money(base, audit, stack)
    inference = open_inference(base, money, stack)
    events = open_events(base, audit, money.rate, identity, stack)
    limits = await stack.enter_async_context(open_limit_store(settings.limits, clock))
    objects = open_object_store(settings.files.store or (settings.data_dir.resolve() / "objects").as_uri(), ids)
    stack.push_async_callback(objects.close)
    idempotency = IdempotencyKeys(database, clock)
    traffic = Traffic(base.metrics, clock)
    dispatcher = Dispatcher(database, base.outbox, clock)
    schedules = [
        *identity.schedules,
        *money.schedules,
        *events.schedules,
        FileReconciler(database, clock, objects).schedule(),
        Schedule("durable.prune_idempotency_keys", PRUNED_EVERY, idempotency.prune),
        Schedule("durable.prune_events", PRUNED_EVERY, lambda: dispatcher.prune(EVENTS_KEPT)),
    ]
    loops = {
        **dispatcher.loops(),
        **identity.loops,
        **money.loops,
        **inference.loops,
        **events.loops,
        "schedules": Scheduler(database, clock, schedules).run,
        "idempotency_keys": every(clock, EXTENDED_EVERY.total_seconds(), idempotency.extend_running),
        "traffic": every(clock, TRAFFIC_SECONDS, traffic.mark),
    }
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
        credit_rate=money.rate,
        ledger=money.ledger,
        billing=money.billing,
        prices=money.prices,
        charges=money.charges,
        payments=money.payments,
        refunds=money.refunds,
        files=Files(database, clock, ids, objects, settings.files),
        catalogue=inference.catalogue,
        router=inference.router,
        local_models=inference.local_models,
        generation=inference.generation,
        conversations=inference.conversations,
        activity=identity.activity,
        background=BackgroundWork(clock, loops),
        notifications=events.notifications,
        push_keys=events.push_keys,
        push_subscriptions=events.push_subscriptions,
        live=events.live,
        webhooks=events.webhooks,
        lost_webhook_secrets=events.lost_webhook_secrets,
        delegations=identity.delegations,
        oauth_clients=identity.oauth_clients,
    )
