"""Addresses that a request on behalf of somebody else must not go to: all but public unicast.

IPv4 less what IANA's registry of special-purpose addresses lists, and of IPv6 the global unicast block alone, less what
the registry lists there. So whatever stands for an IPv4 address in IPv6 (mapped, compatible, NAT64, 6to4, Teredo) is
left out as a whole, private or not: no receiver needs it, and each is another spelling of an address that is refused.

https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/iana-ipv6-special-registry
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

LOOPBACK: Final = "loopback"
_IPV4: Final = {
    IPv4Network("0.0.0.0/8"): "unspecified",
    IPv4Network("10.0.0.0/8"): "private",
    IPv4Network("100.64.0.0/10"): "shared (carrier-grade NAT)",
    IPv4Network("127.0.0.0/8"): LOOPBACK,
    IPv4Network("169.254.0.0/16"): "link-local",
    IPv4Network("172.16.0.0/12"): "private",
    IPv4Network("192.0.0.0/24"): "reserved",
    IPv4Network("192.0.2.0/24"): "for documentation",
    IPv4Network("192.88.99.0/24"): "a 6to4 relay",
    IPv4Network("192.168.0.0/16"): "private",
    IPv4Network("198.18.0.0/15"): "for benchmarks",
    IPv4Network("198.51.100.0/24"): "for documentation",
    IPv4Network("203.0.113.0/24"): "for documentation",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("240.0.0.0/4"): "reserved",
}
_GLOBAL: Final = IPv6Network("2000::/3")
_IPV6: Final = {
    IPv6Network("::/128"): "unspecified",
    IPv6Network("::1/128"): LOOPBACK,
    IPv6Network("::/96"): "IPv4-compatible",
    IPv6Network("::ffff:0:0/96"): "IPv4-mapped",
    IPv6Network("64:ff9b::/96"): "NAT64",
    IPv6Network("64:ff9b:1::/48"): "NAT64",
    IPv6Network("2001::/23"): "reserved (Teredo and others)",
    IPv6Network("2001:db8::/32"): "for documentation",
    IPv6Network("2002::/16"): "6to4",
    IPv6Network("3fff::/20"): "for documentation",
    IPv6Network("fc00::/7"): "private",
    IPv6Network("fe80::/10"): "link-local",
    IPv6Network("ff00::/8"): "multicast",
}


def refusal(address: str, *, loopback: bool = False) -> str | None:
    """What kind of address it is that must not be reached; None for one that may be.

    Args:
        address: as the resolver gives it.
        loopback: this machine itself may be reached, by its plain loopback addresses.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return "malformed"
    if loopback and is_loopback(address):
        return None
    return _of_ipv4(parsed) if isinstance(parsed, IPv4Address) else _of_ipv6(parsed)


def is_loopback(address: str) -> bool:
    """Whether it is this machine. Spellings of IPv4 in IPv6 do not count."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv4Address):
        return parsed.is_loopback
    return parsed == IPv6Address("::1") and parsed.scope_id is None


def _of_ipv4(address: IPv4Address) -> str | None:
    return next((kind for network, kind in _IPV4.items() if address in network), None)


def _of_ipv6(address: IPv6Address) -> str | None:
    if address.scope_id is not None:
        return "of one interface"
    kind = next((kind for network, kind in _IPV6.items() if address in network), None)
    return kind or (None if address in _GLOBAL else "not global")
