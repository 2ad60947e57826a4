"""Nothing is sent into our own network because somebody named its address, however that is written."""

import pytest

from cloudyard.foundation.outbound_addresses import AddressForbidden, AddressRules, UnusableUrl

PRIVATE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fc00::1",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::a00:1",
    "2002:a00:1::1",
    "2001:0:a00:1::1",
    "192.0.0.8",
    "fec0::1",
    "::ffff:0:10.0.0.1",
    "64:ff9b:1:a00:1::",
    "64:ff9b:1::8.8.8.8",
    "3fff::1",
    "5f00::1",
]
LOOPBACK = ["127.0.0.1", "127.9.9.9", "::1"]
PUBLIC = ["8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808", "2002:808:808::1"]


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("allow_loopback", [True, False])
def test_private_addresses_are_refused(address: str, allow_loopback: bool) -> None:
    with pytest.raises(AddressForbidden, match="allowed_networks"):
        AddressRules("webhooks", allow_loopback=allow_loopback).check_address(address)


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_only_by_setting(address: str) -> None:
    AddressRules("webhooks", allow_loopback=True).check_address(address)
    with pytest.raises(AddressForbidden, match="allow_loopback"):
        AddressRules("webhooks", allow_loopback=False).check_address(address)


@pytest.mark.parametrize("address", ["::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1"])
def test_loopback_in_disguise_is_refused(address: str) -> None:
    with pytest.raises(AddressForbidden):
        AddressRules("webhooks", allow_loopback=False).check_address(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    AddressRules("webhooks", allow_loopback=False).check_address(address)


def test_a_network_that_is_allowed_by_setting() -> None:
    rules = AddressRules("webhooks", allow_loopback=False, allowed_networks=["10.1.0.0/16"])
    rules.check_address("10.1.2.3")
    with pytest.raises(AddressForbidden):
        rules.check_address("10.2.0.1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/x",
        "ftp://example.com/x",
        "file:///etc/passwd",
        "https://",
        "https:///x",
        "https://user@example.com/",
        "https://example.com/#part",
        "https://exam ple.com/",
        "https://exämple.com/",
        "https://example.com/\nX: y",
        "https://example.com:port/",
        "https://[::1",
        "https://example.com/" + "x" * 2048,
        "http://example.com/",
    ],
)
def test_urls_that_cannot_be_posted_to(url: str) -> None:
    with pytest.raises(UnusableUrl) as raised:
        AddressRules("webhooks", allow_loopback=False).check_url(url)
    assert raised.value.field == "url"


def test_http_only_where_loopback_is_allowed() -> None:
    assert AddressRules("webhooks", allow_loopback=True).check_url("http://127.0.0.1:9/hook")
    assert AddressRules("webhooks", allow_loopback=False).check_url("https://your-app.com/webhooks/smartaihub")
