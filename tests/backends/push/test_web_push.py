"""The sender against a push service that verifies and decrypts, and against the example of RFC 8291."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cloudyard.backends.push import WebPush
from cloudyard.backends.push.encryption import encrypted
from cloudyard.domains.notifications import Push, PushGone, PushRefused, PushUnavailable, VapidKeys
from cloudyard.domains.notifications.vapid_keys import new_keys
from cloudyard.foundation.outbound_addresses import AddressRules
from cloudyard.testing.clock import ManualClock
from cloudyard.testing.push_service import Browser, PushService, from_base64, running_push_service, to_base64

CONTACT = "mailto:root@example.com"


@asynccontextmanager
async def sending(
    *, allow_loopback: bool = True, timeout: float = 10.0, contact: str | None = CONTACT
) -> AsyncIterator[WebPush]:
    rules = AddressRules("push", allow_loopback=allow_loopback)
    sender = WebPush(ManualClock(datetime.now(UTC)), rules.check_address, contact=contact, timeout_seconds=timeout)
    try:
        yield sender
    finally:
        await sender.close()


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with running_push_service() as service:
        yield service


@pytest.fixture
def keys() -> VapidKeys:
    return new_keys()


def push_to(service: PushService, browser: Browser, payload: bytes = b'{"title":"Hello"}', **changes: str) -> Push:
    given = {"endpoint": service.endpoint(browser), **browser.keys, **changes}
    return Push(**given, payload=payload, ttl_seconds=60, topic="abc123", urgent=True)


def test_the_example_of_the_standard_comes_out_byte_for_byte() -> None:
    """RFC 8291, section 5 and appendix A, through the library with the salt and the key of the example."""
    private = ec.derive_private_key(
        int.from_bytes(from_base64("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big"), ec.SECP256R1()
    )
    body = http_ece.encrypt(
        b"When I grow up, I want to be a watermelon",
        salt=from_base64("DGv6ra1nlYgDCS1FRnbzlw"),
        private_key=private,
        dh=from_base64("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
        auth_secret=from_base64("BTBZMqHH6r4Tts7J_aSIgg"),
        version="aes128gcm",
    )
    assert to_base64(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3"
        "jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_every_message_has_a_key_and_a_salt_of_its_own() -> None:
    browser = Browser()
    first, second = (encrypted(b"the same", **browser.keys) for _ in range(2))
    assert first[:16] != second[:16] and first[21:86] != second[21:86]
    assert browser.decrypted(first) == browser.decrypted(second) == b"the same"


async def test_a_message_arrives_verified_and_decrypted(service: PushService, keys: VapidKeys) -> None:
    browser = service.subscribe()
    async with sending() as sender:
        await sender.send(push_to(service, browser, '{"title":"Grüße"}'.encode()), keys)
    (pushed,) = service.taken
    assert (pushed.browser_id, pushed.json) == (browser.id, {"title": "Grüße"})
    assert pushed.public_key == keys.public
    assert (pushed.claims["aud"], pushed.claims["sub"]) == (service.origin, CONTACT)
    told = {name: pushed.headers[name] for name in ("ttl", "topic", "urgency", "content-encoding")}
    assert told == {"ttl": "60", "topic": "abc123", "urgency": "high", "content-encoding": "aes128gcm"}
    assert service.refused == []


async def test_without_a_contact_none_is_claimed(service: PushService, keys: VapidKeys) -> None:
    async with sending(contact=None) as sender:
        await sender.send(push_to(service, service.subscribe()), keys)
    assert "sub" not in service.taken[0].claims


async def test_a_key_that_is_not_the_one_that_signed_is_refused(service: PushService, keys: VapidKeys) -> None:
    """The service of the tests does verify: it takes no token of another key."""
    async with sending() as sender:
        with pytest.raises(PushRefused, match="403"):
            await sender.send(push_to(service, service.subscribe()), VapidKeys(new_keys().public, keys.private))
    assert service.taken == [] and "InvalidSignatureError" in service.refused[0]


@pytest.mark.parametrize("status", [404, 410])
async def test_a_subscription_that_is_gone(service: PushService, keys: VapidKeys, status: int) -> None:
    browser = service.subscribe()
    service.status = status
    async with sending() as sender:
        with pytest.raises(PushGone, match=str(status)):
            await sender.send(push_to(service, browser), keys)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_what_is_not_taken_for_now(service: PushService, keys: VapidKeys, status: int) -> None:
    service.status = status
    async with sending() as sender:
        with pytest.raises(PushUnavailable, match=str(status)) as raised:
            await sender.send(push_to(service, service.subscribe()), keys)
    assert raised.value.retry_after is None


@pytest.mark.parametrize(("given", "seconds"), [("120", 120.0), ("soon", None), ("-5", None)])
async def test_the_pause_that_is_asked_for(
    service: PushService, keys: VapidKeys, given: str, seconds: float | None
) -> None:
    service.status, service.headers = 429, {"Retry-After": given}
    async with sending() as sender:
        with pytest.raises(PushUnavailable) as raised:
            await sender.send(push_to(service, service.subscribe()), keys)
    assert raised.value.retry_after == seconds


async def test_a_pause_until_a_date(service: PushService, keys: VapidKeys) -> None:
    clock = ManualClock(datetime.now(UTC).replace(microsecond=0))
    service.status = 503
    service.headers = {"Retry-After": format_datetime(clock.now() + timedelta(minutes=5), usegmt=True)}
    sender = WebPush(clock, lambda _: None, contact=None, timeout_seconds=10)
    with pytest.raises(PushUnavailable) as raised:
        await sender.send(push_to(service, service.subscribe()), keys)
    await sender.close()
    assert raised.value.retry_after == 300.0


@pytest.mark.parametrize("status", [301, 307, 400, 401, 413])
async def test_what_is_never_taken(service: PushService, keys: VapidKeys, status: int) -> None:
    service.status, service.headers = status, {"Location": f"{service.origin}/push/x"}
    async with sending() as sender:
        with pytest.raises(PushRefused, match=str(status)):
            await sender.send(push_to(service, service.subscribe()), keys)
    assert service.tries == 1, "no redirect is followed"


async def test_a_service_that_never_answers(service: PushService, keys: VapidKeys) -> None:
    service.hang = True
    async with sending(timeout=0.3) as sender:
        with pytest.raises(PushUnavailable, match=r"within 0\.3 s"):
            await sender.send(push_to(service, service.subscribe()), keys)


async def test_a_service_that_is_not_there(service: PushService, keys: VapidKeys) -> None:
    push = push_to(service, service.subscribe(), endpoint="http://127.0.0.1:1/push/x")
    async with sending() as sender:
        with pytest.raises(PushUnavailable, match="cannot be reached"):
            await sender.send(push, keys)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"])
async def test_our_own_machine_is_not_reached_by_any_name(service: PushService, keys: VapidKeys, host: str) -> None:
    browser = service.subscribe()
    push = push_to(service, browser, endpoint=service.endpoint(browser).replace("127.0.0.1", host))
    async with sending(allow_loopback=False) as sender:
        with pytest.raises(PushRefused, match=r"push\."):
            await sender.send(push, keys)
    assert service.tries == 0
