"""Addresses that must not be reached."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karman_core.domain.addresses import is_loopback, refusal


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("0.0.0.0", "unspecified"),
        ("10.1.2.3", "private"),
        ("100.64.0.1", "shared (carrier-grade NAT)"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("169.254.169.254", "link-local"),
        ("169.254.170.2", "link-local"),
        ("172.31.255.255", "private"),
        ("192.0.0.192", "reserved"),
        ("192.0.2.1", "for documentation"),
        ("192.88.99.1", "a 6to4 relay"),
        ("192.168.0.1", "private"),
        ("198.19.0.1", "for benchmarks"),
        ("198.51.100.7", "for documentation"),
        ("203.0.113.7", "for documentation"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::127.0.0.1", "IPv4-compatible"),
        ("::ffff:127.0.0.1", "IPv4-mapped"),
        ("::ffff:8.8.8.8", "IPv4-mapped"),
        ("::ffff:a9fe:a9fe", "IPv4-mapped"),
        ("64:ff9b::7f00:1", "NAT64"),
        ("64:ff9b:1::a00:1", "NAT64"),
        ("2001:0:7f00:1::", "reserved (Teredo and others)"),
        ("2001:db8::1", "for documentation"),
        ("2002:7f00:1::", "6to4"),
        ("3fff::1", "for documentation"),
        ("fd00:ec2::254", "private"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "of one interface"),
        ("ff02::1", "multicast"),
        ("100::1", "not global"),
        ("5f00::1", "not global"),
        ("", "malformed"),
        ("localhost", "malformed"),
        ("0x7f.1", "malformed"),
    ],
)
def test_what_is_not_public_is_refused(address: str, kind: str) -> None:
    assert refusal(address) == kind


@pytest.mark.parametrize("address", ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2600:1f18::1", "2a00:1450::1"])
def test_what_is_public_is_not(address: str) -> None:
    assert refusal(address) is None
    assert not is_loopback(address)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", None),
        ("127.1.2.3", None),
        ("::1", None),
        ("::1%1", "of one interface"),
        ("::ffff:127.0.0.1", "IPv4-mapped"),
        ("10.0.0.1", "private"),
        ("0.0.0.0", "unspecified"),
    ],
)
def test_this_machine_alone_may_be_let_in(address: str, kind: str | None) -> None:
    assert refusal(address, loopback=True) == kind


@given(st.ip_addresses())
def test_whatever_python_takes_for_private_or_special_is_refused(address: object) -> None:
    special = ("is_private", "is_loopback", "is_link_local", "is_multicast", "is_unspecified", "is_reserved")
    if any(getattr(address, name) for name in special):
        assert refusal(str(address)) is not None
