"""What administrators do."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from client_people import Person
from smartaihub import AuthenticationError, ConflictError, PermissionDeniedError, ValidationError
from twins import Client, done, everything


async def test_users_are_found_over_all_pages(admins: Client, join: Callable[[], Person]) -> None:
    people = [join() for _ in range(3)]
    found = await everything(admins.admin.users.list(search="client", status="active", sort="-email", limit=5))
    assert {person.id for person in people} <= {user.id for user in found}
    assert [user.email for user in found] == sorted((user.email for user in found), reverse=True)
    (one,) = await everything(admins.admin.users.list(search=people[0].email, role="user"))
    assert (one.id, one.credits) == (people[0].id, 1000)


async def test_a_user_is_read_and_changed(admins: Client, ann: Person) -> None:
    user = await done(admins.admin.users.get(ann.id))
    assert (user.email, user.role, user.status, user.held_credits) == (ann.email, "user", "active", 0)
    changed = await done(admins.admin.users.update(ann.id, role="admin", credits=Decimal("1500.5"), reason="promoted"))
    assert (changed.role, changed.credits) == ("admin", Decimal("1500.5"))


async def test_a_suspended_user_is_signed_out(admins: Client, anns: Client, ann: Person) -> None:
    await done(admins.admin.users.update(ann.id, status="suspended"))
    with pytest.raises((AuthenticationError, PermissionDeniedError)):
        await done(anns.users.me())


async def test_credits_are_adjusted_once_for_a_key(admins: Client, ann: Person) -> None:
    for _ in range(2):
        given = await done(
            admins.admin.users.adjust_credits(
                ann.id, 500, reason="Gift", type="bonus", idempotency_key=f"gift-{ann.id}"
            )
        )
        assert (given.amount, given.balance, given.type, given.reason) == (500, 1500, "bonus", "Gift")
    taken = await done(admins.admin.users.adjust_credits(ann.id, -1500, reason="Taken back"))
    assert taken.balance == 0
    with pytest.raises(ConflictError):
        await done(admins.admin.users.adjust_credits(ann.id, -1, reason="Too much"))


async def test_a_key_is_good_for_one_request(admins: Client, ann: Person) -> None:
    key = f"once-{ann.id}"
    await done(admins.admin.users.adjust_credits(ann.id, 1, reason="First", idempotency_key=key))
    with pytest.raises(ValidationError):
        await done(admins.admin.users.adjust_credits(ann.id, 2, reason="Another", idempotency_key=key))


async def test_metrics_are_read(admins: Client) -> None:
    metrics = await done(admins.admin.metrics())
    assert metrics.users.total >= metrics.users.active > 0
    assert metrics.credits.total_purchased >= 0
    assert metrics.api.requests_today > 0


async def test_a_payment_is_found_and_refunded(admins: Client, anns: Client, ann: Person) -> None:
    bought = await done(anns.credits.purchase(amount=500, payment_method_id="pm_card_visa"))
    (payment,) = await everything(admins.admin.payments.list(user_id=ann.id, status="completed"))
    assert (payment.id, payment.price, payment.refunded) == (bought.id, 5, 0)
    order = {"usd": Decimal("2.5"), "reason": "Too slow", "idempotency_key": f"refund-{payment.id}"}
    refund = await done(admins.admin.payments.refund(payment.id, **order))
    assert (refund.status, refund.usd, refund.credits) == ("completed", Decimal("2.5"), 250)
    assert (await done(admins.admin.payments.refund(payment.id, **order))).id == refund.id
    details = await done(admins.admin.payments.get(payment.id))
    assert details.refunded == Decimal("2.5")
    assert [(each.id, each.reason) for each in details.refunds] == [(refund.id, "Too slow")]


async def test_others_may_do_none_of_it(anns: Client, ann: Person) -> None:
    with pytest.raises(PermissionDeniedError) as refused:
        await done(anns.admin.metrics())
    assert refused.value.status == 403
    with pytest.raises(PermissionDeniedError):
        await everything(anns.admin.users.list())
