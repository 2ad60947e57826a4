from typing import Any

import pytest

from cloudyard.web.proxies import TrustedProxies, limit_key_of


def scope(peer: str | None, *headers: tuple[bytes, bytes], scheme: str = "http") -> dict[str, Any]:
    return {"type": "http", "client": (peer, 1) if peer else None, "scheme": scheme, "headers": list(headers)}


FORWARDED = b"x-forwarded-for"
PROTO = b"x-forwarded-proto"


def test_nobody_is_believed_unless_configured() -> None:
    proxies = TrustedProxies([])
    assert proxies.client(scope("203.0.113.9", (FORWARDED, b"198.51.100.1"), (PROTO, b"https"))) == (
        "203.0.113.9",
        False,
    )


def test_the_last_address_that_is_no_proxy_counts() -> None:
    proxies = TrustedProxies(["10.0.0.0/8", "192.0.2.7"])
    request = scope("10.1.2.3", (FORWARDED, b"1.1.1.1, 198.51.100.1, 192.0.2.7"), (PROTO, b"https"))
    assert proxies.client(request) == ("198.51.100.1", True)


def test_a_forged_left_part_does_not_count() -> None:
    proxies = TrustedProxies(["10.0.0.1"])
    assert proxies.client(scope("10.0.0.1", (FORWARDED, b"10.0.0.1, 8.8.8.8")))[0] == "8.8.8.8"


def test_several_headers_are_one_list() -> None:
    proxies = TrustedProxies(["10.0.0.1"])
    request = scope("10.0.0.1", (FORWARDED, b"1.1.1.1"), (FORWARDED, b"2.2.2.2, 10.0.0.1"))
    assert proxies.client(request)[0] == "2.2.2.2"


def test_an_untrusted_peer_is_itself() -> None:
    proxies = TrustedProxies(["10.0.0.1"])
    assert proxies.client(scope("203.0.113.9", (FORWARDED, b"1.1.1.1")))[0] == "203.0.113.9"
    assert proxies.client(scope(None))[0] == "unknown"


def test_only_proxies_in_the_list_gives_the_first() -> None:
    proxies = TrustedProxies(["10.0.0.0/8"])
    assert proxies.client(scope("10.0.0.1", (FORWARDED, b"10.0.0.9, 10.0.0.8")))[0] == "10.0.0.9"


def test_a_mapped_address_is_the_proxy_it_maps() -> None:
    proxies = TrustedProxies(["127.0.0.1"])
    assert proxies.client(scope("::ffff:127.0.0.1", (FORWARDED, b"1.2.3.4")))[0] == "1.2.3.4"


def test_what_is_no_address_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match=r"proxy\.example"):
        TrustedProxies(["proxy.example"])


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::2", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("a:b", "a:b"),
    ],
)
def test_an_ipv6_caller_counts_as_its_network(address: str, key: str) -> None:
    assert limit_key_of(address) == key
