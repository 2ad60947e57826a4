"""Accounts, sessions and their tokens, at a running server."""

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from client_people import PASSWORD, Connect, Person
from smartaihub import AuthenticationError, ConflictError, NotFoundError, Tokens, ValidationError
from twins import Client, done

from cloudyard.testing.installation import Installation
from cloudyard.testing.waiting import eventually

NEW_PASSWORD = "newSecurePassword123"
STALE = "not-a-token-any-more"


async def test_an_account_is_opened_and_used(connect: Connect, ann: Person) -> None:
    client = await connect()
    email = f"new-{ann.email}"
    opened = await done(client.auth.register(email, PASSWORD, first_name="Jane", last_name="Doe"))
    assert (opened.email, opened.first_name, opened.role) == (email, "Jane", "user")
    assert client.tokens is None
    session = await done(client.auth.login(email, PASSWORD))
    assert session.user.id == opened.id
    assert client.tokens == session.tokens
    assert session.tokens.expires_in > 0
    me = await done(client.users.me())
    assert (me.id, me.phone) == (opened.id, None)
    assert me.created_at.utcoffset() is not None


async def test_a_taken_address_is_a_conflict(connect: Connect, ann: Person) -> None:
    client = await connect()
    with pytest.raises(ConflictError) as refused:
        await done(client.auth.register(ann.email, PASSWORD))
    assert (refused.value.status, refused.value.code) == (409, "RESOURCE_CONFLICT")


async def test_errors_tell_fields_and_request(connect: Connect) -> None:
    client = await connect()
    with pytest.raises(ValidationError) as refused:
        await done(client.auth.register("no address", "short"))
    assert refused.value.status == 422
    assert refused.value.fields.keys() & {"email", "password"}
    assert refused.value.request_id
    assert refused.value.request_id in str(refused.value)


async def test_the_profile_is_changed_where_something_is_given(anns: Client) -> None:
    changed = await done(anns.users.update_me(phone="+1234567890", timezone="America/New_York"))
    assert (changed.first_name, changed.phone, changed.timezone) == ("John", "+1234567890", "America/New_York")
    assert (await done(anns.users.update_me(phone=""))).phone in ("", None)


async def test_nobody_was_let_in_yet(anns: Client) -> None:
    assert await done(anns.users.applications.list()) == []
    with pytest.raises(NotFoundError):
        await done(anns.users.applications.end("no-such-application"))


async def test_logging_out_ends_the_session(connect: Connect, ann: Person) -> None:
    client = await connect(tokens=ann.tokens)
    await done(client.auth.logout())
    assert client.tokens is None
    with pytest.raises(AuthenticationError):
        await done(client.users.me())
    other = await connect(tokens=ann.tokens)
    with pytest.raises(AuthenticationError):
        await done(other.users.me())


async def test_an_access_token_that_ran_out_is_renewed(connect: Connect, ann: Person) -> None:
    kept: list[Tokens] = []
    stale = ann.tokens.model_copy(update={"access_token": STALE})
    client = await connect(tokens=stale, on_tokens=kept.append)
    assert (await done(client.users.me())).id == ann.id
    assert (await done(client.users.me())).id == ann.id
    assert kept == [client.tokens]
    assert kept[0].refresh_token != ann.tokens.refresh_token


async def test_tokens_are_renewed_once_for_many_calls(connect: Connect, ann: Person) -> None:
    kept: list[Tokens] = []
    client = await connect(tokens=ann.tokens.model_copy(update={"access_token": STALE}), on_tokens=kept.append)
    if asyncio.iscoroutinefunction(client.users.me):
        answers = await asyncio.gather(*(client.users.me() for _ in range(8)))
    else:
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: client.users.me(), range(8)))
    assert [user.id for user in answers] == [ann.id] * 8
    assert len(kept) == 1


async def test_a_session_that_ended_elsewhere_is_not_renewed(
    connect: Connect, ann: Person, cloud: Installation
) -> None:
    client = await connect(tokens=ann.tokens)
    cloud.run(cloud.services.sessions.logout_all(ann.id))
    with pytest.raises(AuthenticationError, match="Log in again"):
        await done(client.users.me())


async def test_tokens_are_renewed_on_demand(connect: Connect, ann: Person) -> None:
    client = await connect(tokens=ann.tokens)
    assert await done(client.auth.refresh()) == client.tokens != ann.tokens
    assert (await done(client.users.me())).id == ann.id
    assert await done((await connect(api_key=ann.api_key)).auth.refresh()) is None


async def test_a_login_goes_before_the_key(connect: Connect, ann: Person, join: Callable[[], Person]) -> None:
    bob = join()
    client = await connect(api_key=ann.api_key)
    assert (await done(client.users.me())).id == ann.id
    await done(client.auth.login(bob.email, PASSWORD))
    assert (await done(client.users.me())).id == bob.id
    await done(client.auth.logout())
    assert (await done(client.users.me())).id == ann.id


async def test_a_wrong_key_is_an_authentication_error(connect: Connect) -> None:
    client = await connect(api_key="wrong")
    with pytest.raises(AuthenticationError) as refused:
        await done(client.credits.balance())
    assert (refused.value.status, refused.value.code) == (401, "AUTHENTICATION_FAILED")


async def test_the_password_is_changed(connect: Connect, ann: Person) -> None:
    client = await connect(tokens=ann.tokens)
    with pytest.raises(ValidationError) as refused:
        await done(client.auth.change_password("wrong", NEW_PASSWORD))
    assert refused.value.fields.keys() == {"currentPassword"}
    await done(client.auth.change_password(PASSWORD, NEW_PASSWORD))
    assert (await done(client.auth.login(ann.email, NEW_PASSWORD))).user.id == ann.id


async def test_a_forgotten_password_is_reset(connect: Connect, ann: Person, cloud: Installation) -> None:
    client = await connect()
    await done(client.auth.forgot_password(ann.email))
    token = await mailed_token(cloud, ann.email)
    await done(client.auth.reset_password(token, NEW_PASSWORD))
    assert (await done(client.auth.login(ann.email, NEW_PASSWORD))).user.id == ann.id
    with pytest.raises(ValidationError):
        await done(client.auth.reset_password(token, NEW_PASSWORD))


async def mailed_token(cloud: Installation, email: str) -> str:
    """The token of the link that was mailed."""
    folder = cloud.services.settings.data_dir / "mail"

    async def links() -> list[str]:
        letters = [letter for letter in (file.read_text() for file in folder.glob("*.eml")) if email in letter]
        return re.findall(r"/reset-password\?token=([\w.~-]+)", "\n".join(letters))

    return (await eventually(links, bool))[0]
