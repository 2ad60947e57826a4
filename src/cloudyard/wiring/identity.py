"""Accounts, sessions, keys, and signing in through others."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from cloudyard.backends.client_documents import HttpClientDocuments
from cloudyard.backends.mail import open_mailer
from cloudyard.backends.oidc import open_identity_providers
from cloudyard.domains.audit import AuditLog
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
from cloudyard.foundation.durable import Loop, Schedule
from cloudyard.foundation.outbound_addresses import AddressRules
from cloudyard.foundation.urls import http_url
from cloudyard.wiring.foundation import Foundation


@dataclass(frozen=True, slots=True)
class Identity:
    """The services of the identity domain, and what they do in the background."""

    users: Users
    sessions: Sessions
    api_keys: ApiKeys
    recovery: Recovery
    federation: Federation
    activity: Activity
    signing_keys: SigningKeys
    mailer: Mailer
    delegations: Delegations
    oauth_clients: OAuthClients
    loops: Mapping[str, Loop]
    schedules: Sequence[Schedule]


def open_identity(base: Foundation, audit: AuditLog, stack: AsyncExitStack) -> Identity:
    """Open identity as the settings have it; `stack` closes what it holds open."""
    security = base.settings.security
    forgetting = SharedForgetting(base.fan_out)
    cache = CredentialCache(base.clock, life_seconds=security.session_cache_seconds, tell=forgetting.tell)
    passwords = Passwords(min_length=security.password_min_length)
    server = base.settings.server
    mail = AccountMail(
        base.outbox,
        base.clock,
        base.ids,
        base.secrets,
        security,
        link_base=server.public_url or http_url(server.host, server.port),
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
        signing_keys=keys,
        mailer=mailer,
        delegations=Delegations(base.database, base.clock, base.ids, audit, tokens, cache, activity),
        oauth_clients=clients,
        loops={"activity": activity.run, "forgetting": lambda: forgetting.run(cache)},
        schedules=[Cleanup(base.database, base.clock, keys, clients).schedule()],
    )


def _oauth_clients(base: Foundation, stack: AsyncExitStack) -> OAuthClients:
    rules = AddressRules("oauth", allow_loopback=False, allowed_networks=base.settings.oauth.allowed_networks)
    documents = HttpClientDocuments(rules.check_address)
    stack.push_async_callback(documents.close)
    return OAuthClients(base.database, base.clock, base.ids, documents)


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
