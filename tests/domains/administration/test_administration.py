import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from cloudyard.domains.administration import Administration, Figures
from cloudyard.domains.identity import LastAdmin, Role, User, UserNotFound, UserOrder, UserStatus
from cloudyard.domains.ledger import (
    Account,
    AccountKind,
    Entry,
    EntryKind,
    Ledger,
    LedgerBatch,
    Line,
    Statement,
    verify_ledger,
    wallet_of,
)
from cloudyard.domains.ledger.records import REVENUE
from cloudyard.foundation.database import Database
from cloudyard.foundation.errors import InvalidInput
from cloudyard.foundation.ids import SystemIds
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.identity import IdentityParts

WELCOME = 10_000_000_000
STRIPE = Account(AccountKind.CLEARING, "stripe")


async def available(ledger: Ledger, user: User) -> int:
    return (await ledger.wallet(user.id)).available


async def post(database: Database, clock: ManualClock, ids: SystemIds, *entries: Entry) -> None:
    async with database.transaction() as tx:

        def write(connection: Connection) -> None:
            batch = LedgerBatch(connection, ids, clock.now())
            batch.load([line.account for entry in entries for line in entry.lines])
            for entry in entries:
                batch.post(entry)
            batch.flush()

        await tx.run_sync(write)


def moved(kind: EntryKind, user: User, nanos: int, source: Account) -> Entry:
    lines = (Line(source, -nanos), Line(wallet_of(user.id), nanos))
    return Entry(kind, f"{kind}:{nanos}", lines, kind.value, Statement(user.id, nanos))


async def test_everything_changes_in_one_transaction(
    administration: Administration, identity: IdentityParts, ledger: Ledger, root: User, ada: User
) -> None:
    user = await administration.change(
        ada.id, actor=root.id, role=Role.ADMIN, status=UserStatus.ACTIVE, credit=WELCOME + 5, reason=" A gift "
    )
    assert user.role is Role.ADMIN
    assert await available(ledger, ada) == WELCOME + 5
    (newest, _), _ = await ledger.history(ada.id, limit=10)
    assert (newest.kind, newest.amount, newest.description) == (EntryKind.ADJUSTMENT, 5, "A gift")
    entries = await identity.audit.list(actor=root.id)
    assert [entry.action for entry in entries] == ["ledger.adjusted", "user.updated"]
    assert dict(entries[0].details) == {"nanos": 5, "reason": "A gift", "transaction_id": newest.id}


@pytest.mark.parametrize(("credit", "reason"), [(-1, "why"), (WELCOME + 10**17, "why"), (5, ""), (5, "  ")])
async def test_a_refused_credit_leaves_role_and_status_too(
    administration: Administration,
    identity: IdentityParts,
    ledger: Ledger,
    root: User,
    ada: User,
    credit: int,
    reason: str,
) -> None:
    with pytest.raises(InvalidInput):
        await administration.change(
            ada.id, actor=root.id, role=Role.ADMIN, status=UserStatus.SUSPENDED, credit=credit, reason=reason
        )
    assert await identity.users.get(ada.id) == ada
    assert await available(ledger, ada) == WELCOME
    assert await identity.audit.list(actor=root.id) == []


async def test_a_refused_role_leaves_the_credit(administration: Administration, ledger: Ledger, root: User) -> None:
    with pytest.raises(LastAdmin):
        await administration.change(root.id, actor=root.id, role=Role.USER, credit=5, reason="why")
    with pytest.raises(UserNotFound):
        await administration.change("nobody", actor=root.id, credit=5, reason="why")
    assert await available(ledger, root) == 0


async def test_a_first_wallet_is_filled(administration: Administration, ledger: Ledger, root: User) -> None:
    await administration.change(root.id, actor=root.id, credit=7, reason="why")
    assert await available(ledger, root) == 7


async def test_credits_set_at_once_end_at_one_of_the_wanted_values(
    administration: Administration, ledger: Ledger, database: Database, root: User, ada: User
) -> None:
    wanted = [1, 2, 3, 4, 5, 6]
    gifts = [ledger.adjust(ada.id, 1000, reason="gift", actor=root.id) for _ in range(3)]
    changes = [administration.change(ada.id, actor=root.id, credit=credit, reason="set") for credit in wanted]
    await asyncio.gather(*changes, *gifts)
    assert await available(ledger, ada) % 1000 in wanted
    assert await available(ledger, ada) <= 3006
    async with database.reading() as tx:
        assert await tx.run_sync(verify_ledger) == []


async def test_suspension_ends_sessions(
    administration: Administration, identity: IdentityParts, ada: User, root: User
) -> None:
    pair = await identity.sessions.login("ada@example.com", "correct horse")
    await identity.sessions.authenticate(pair.access_token)
    await administration.change(ada.id, actor=root.id, status=UserStatus.SUSPENDED)
    assert identity.sessions.cached(pair.access_token) is None


async def test_the_list_has_credit_and_an_order(
    administration: Administration, identity: IdentityParts, clock: ManualClock, root: User, ada: User
) -> None:
    clock.advance(60)
    bob = await identity.users.register(email="bob@example.com", password="correct horse", name="Bob Aardvark")
    found, total = await administration.users()
    assert total == 3
    assert {overview.user.email: overview.available for overview in found} == {
        "root@example.com": 0,
        "ada@example.com": WELCOME,
        "bob@example.com": 0,
    }
    assert found[0].user.id == bob.id
    by_name, _ = await administration.users(order=UserOrder.LAST_NAME, descending=False, role=Role.USER)
    assert [overview.user.email for overview in by_name] == ["bob@example.com", "ada@example.com"]
    page, total = await administration.users(order=UserOrder.EMAIL, descending=True, limit=1, offset=1)
    assert ([overview.user.email for overview in page], total) == (["bob@example.com"], 3)


async def test_the_figures_are_the_ledgers_and_this_months(
    administration: Administration,
    identity: IdentityParts,
    ledger: Ledger,
    database: Database,
    clock: ManualClock,
    ids: SystemIds,
    root: User,
    ada: User,
) -> None:
    assert await administration.figures() == Figures(2, 2, 2, 0, 0, 0)
    await ledger.adjust(ada.id, 77, reason="by hand", actor=root.id)
    await post(
        database,
        clock,
        ids,
        moved(EntryKind.PURCHASE, ada, 5000, STRIPE),
        moved(EntryKind.PURCHASE, ada, 300, STRIPE),
        moved(EntryKind.REFUND, ada, -300, STRIPE),
        moved(EntryKind.USAGE, ada, -1200, REVENUE),
    )
    next_month = (clock.now().replace(day=1) + timedelta(days=32)).replace(day=1)
    clock.advance((next_month - clock.now()).total_seconds())
    await identity.users.register(email="bob@example.com", password="correct horse")
    await identity.users.set_status(ada.id, UserStatus.SUSPENDED)
    assert await administration.figures() == Figures(
        users=3, active_users=2, new_users=1, purchased=5300, used=1200, received=5000
    )
    assert clock.now() >= datetime(2026, 2, 1, tzinfo=UTC)
