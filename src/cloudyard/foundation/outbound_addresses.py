"""Which addresses may be sent to that somebody else named: those of the public internet, so that no URL reaches into
our own network."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from cloudyard.foundation.errors import DomainError, ErrorKind

LONGEST_URL = 2048

Address = IPv4Address | IPv6Address

# Networks whose addresses carry an IPv4 address, and how far from the right it lies: IPv4-compatible
# (RFC 4291, 2.5.5.1), NAT64 (RFC 6052) and 6to4 (RFC 3056).
CARRIERS = (
    (IPv6Network("::/96"), 0),
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)
# What older Pythons take for public: IETF protocol assignments (RFC 6890), local NAT64 (RFC 8215), IPv4-translated
# (RFC 2765), site-local (RFC 3879), documentation (RFC 9637) and segment routing (RFC 9602).
NOT_PUBLIC = tuple(
    ip_network(network)
    for network in (
        "192.0.0.0/24",
        "64:ff9b:1::/48",
        "::ffff:0:0:0/96",
        "fec0::/10",
        "3fff::/20",
        "5f00::/16",
    )
)


class AddressForbidden(DomainError):
    """The address is one that nothing may be sent to."""

    code = "address_forbidden"
    kind = ErrorKind.INVALID


class UnusableUrl(DomainError):
    """The URL is none that something can be sent to."""

    code = "unusable_url"
    kind = ErrorKind.INVALID


class AddressRules:
    """Public addresses are allowed; loopback and further networks only where the settings say so.

    `area` is the part of the settings that says it, `field` what callers name the URL.
    """

    def __init__(
        self, area: str, *, allow_loopback: bool, allowed_networks: Sequence[str] = (), field: str = "url"
    ) -> None:
        self._area = area
        self._field = field
        self._allow_loopback = allow_loopback
        self._allowed: tuple[IPv4Network | IPv6Network, ...] = tuple(ip_network(each) for each in allowed_networks)

    def check_address(self, text: str) -> None:
        """Refuse an address, in any of its forms. Raises `AddressForbidden`."""
        address = ip_address(text.partition("%")[0])
        for meant in (address, *_carried(address)):
            if not self._allows(meant):
                setting = "allow_loopback" if meant.is_loopback else "allowed_networks"
                raise AddressForbidden(
                    f"Nothing may be sent to {text}: it is no address of the public internet. Use a public address, or "
                    f"have {self._area}.{setting} allow it.",
                    field=self._field,
                )

    def check_url(self, url: str) -> str:
        """The URL, if it is one to post to; its host name is looked up only when something is sent.

        Raises `UnusableUrl`, and `AddressForbidden` where the host is a forbidden address itself.
        """
        try:
            parts = urlsplit(url)
            host, _port = parts.hostname, parts.port
        except ValueError as error:
            raise self._unusable(f"it cannot be read ({error})") from error
        if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
            raise self._unusable(f"it must have at most {LONGEST_URL} characters, all printable ASCII")
        if parts.scheme not in self._schemes():
            raise self._unusable("it must begin with https://")
        if not host or parts.username is not None or parts.fragment:
            raise self._unusable("it needs a host, and may have neither a user name nor a fragment")
        if _is_address(host):
            self.check_address(host)
        return url

    def _schemes(self) -> tuple[str, ...]:
        return ("https", "http") if self._allow_loopback or self._allowed else ("https",)

    def _allows(self, address: Address) -> bool:
        if any(address in network for network in self._allowed):
            return True
        if address.is_loopback:
            return self._allow_loopback
        if any(address in network for network in NOT_PUBLIC):
            return False
        return address.is_global and not address.is_multicast

    def _unusable(self, why: str) -> UnusableUrl:
        return UnusableUrl(
            f"The URL cannot be used: {why}. Give one such as https://your-app.com/path.", field=self._field
        )


def _carried(address: Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to."""
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.teredo is not None:
        yield from address.teredo
    for network, shift in CARRIERS:
        if address in network and not address.is_loopback:
            yield IPv4Address((int(address) >> shift) & 0xFFFFFFFF)


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
