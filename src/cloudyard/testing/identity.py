"""The services of identity over a test's own database, with real and cheap Argon2id and a real folder of mail."""

import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from cryptography.fernet import Fernet
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from cloudyard.backends.mail.file_outbox import FileMailer
from cloudyard.domains.audit import AuditLog
from cloudyard.domains.identity import (
    AccountMail,
    Activity,
    ApiKeys,
    Cleanup,
    ClientDocumentUnavailable,
    CredentialCache,
    Delegations,
    MailConsumer,
    OAuthClients,
    Passwords,
    Recovery,
    Sessions,
    SigningKeys,
    Tokens,
    Users,
)
from cloudyard.foundation.clock import Clock
from cloudyard.foundation.database import Database
from cloudyard.foundation.durable import Dispatcher, Outbox
from cloudyard.foundation.ids import Ids
from cloudyard.foundation.secret_box import SecretBox
from cloudyard.foundation.settings.security import SecuritySettings

LINK_BASE = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class IdentityParts:
    """Everything that identity consists of."""

    settings: SecuritySettings
    box: SecretBox
    audit: AuditLog
    keys: SigningKeys
    tokens: Tokens
    passwords: Passwords
    cache: CredentialCache
    activity: Activity
    users: Users
    sessions: Sessions
    api_keys: ApiKeys
    recovery: Recovery
    cleanup: Cleanup
    delegations: Delegations
    clients: OAuthClients
    documents: "KnownDocuments"
    dispatcher: Dispatcher
    mail_folder: Path

    async def mails(self, to: str) -> list[EmailMessage]:
        """Deliver what waits in the outbox; every mail sent to an address so far, oldest first."""
        while await self.dispatcher.deliver_due():
            pass
        files = sorted(self.mail_folder.glob("*.eml"))
        messages = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
        return [message for message in messages if message["To"] == to]

    async def mailed_token(self, to: str, page: str) -> str:
        """The token in the newest mail to an address whose link leads to that page."""
        for message in reversed(await self.mails(to)):
            found = re.search(rf"{re.escape(LINK_BASE)}/{page}\?token=([\w-]+)", _text(message))
            if found is not None:
                return found[1]
        raise LookupError(f"no mail to {to} has a link to {page}")


class KnownDocuments:
    """Documents of applications as a test lays them out; what it did not is missing."""

    def __init__(self) -> None:
        self.at: dict[str, bytes] = {}
        self.reads = 0

    async def read(self, url: str) -> bytes:
        """The document of that address."""
        self.reads += 1
        if url not in self.at:
            raise ClientDocumentUnavailable("There is nothing there.")
        return self.at[url]


def identity_parts(
    database: Database,
    clock: Clock,
    ids: Ids,
    outbox: Outbox,
    mail_folder: Path,
    *,
    settings: SecuritySettings | None = None,
    box: SecretBox | None = None,
    mail_available: bool = True,
) -> IdentityParts:
    """Build the services. A second call over the same database and box acts as another process."""
    settings = settings or SecuritySettings()
    box = box or SecretBox([Fernet.generate_key().decode()])
    audit = AuditLog(database, clock)
    keys = SigningKeys(database, clock, ids, box, audit, settings)
    tokens = Tokens(keys, clock, ids, settings)
    passwords = Passwords(min_length=settings.password_min_length, hasher=cheap_hasher())
    cache = CredentialCache(clock, life_seconds=settings.session_cache_seconds)
    activity = Activity(database, clock)
    documents = KnownDocuments()
    clients = OAuthClients(database, clock, ids, documents)
    mail = AccountMail(outbox, clock, ids, box, settings, link_base=LINK_BASE, available=mail_available)
    outbox.subscribe(MailConsumer(FileMailer(mail_folder, sender="Cloudyard <noreply@localhost>"), box, clock))
    return IdentityParts(
        settings=settings,
        box=box,
        audit=audit,
        keys=keys,
        tokens=tokens,
        passwords=passwords,
        cache=cache,
        activity=activity,
        users=Users(database, clock, ids, outbox, audit, passwords, mail, cache),
        sessions=Sessions(database, clock, ids, audit, passwords, tokens, cache, activity, settings),
        api_keys=ApiKeys(database, clock, ids, audit, cache),
        recovery=Recovery(database, clock, audit, passwords, mail, cache),
        cleanup=Cleanup(database, clock, keys, clients),
        delegations=Delegations(database, clock, ids, audit, tokens, cache, activity),
        clients=clients,
        documents=documents,
        dispatcher=Dispatcher(database, outbox, clock),
        mail_folder=mail_folder,
    )


def cheap_hasher() -> PasswordHash:
    """Argon2id with the smallest parameters it takes: real, and quick enough for hundreds of tests."""
    return PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))


def _text(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    return str(body.get_content()) if body is not None else ""
