"""Where a message may go: only where its owner said, whatever a name resolves to at the moment.

Must live here: the URL's form, the allow-list, which addresses are of the open internet, the
look-up. Must not: HTTP (webhook.py posts to the very address that was checked here).

`private` in channels.json lifts the refusal for the shop's own networks and loopback, nothing
else: no webhook ever goes to a cloud's metadata service or a link-local address.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from fnmatch import fnmatchcase

import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all of IPv6 that was ever given out
_OWN = tuple(
    map(
        ipaddress.ip_network,
        (
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
            *("fc00::/7", "::1/128"),
        ),
    )
)
# Clouds hand their machines' credentials to whoever asks here.
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            *("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200"),
            *("168.63.129.16", "192.0.0.192"),
        ),
    )
)
# What `is_global` of one 3.11 or another lets pass: protocol assignments (ORCHID is one), 6to4's
# relay and its prefix, documentation.
_SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20"),
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)  # the middle of an IPv6 address that holds an IPv4 one


class RefusedAddressError(ValueError):
    """An address that a webhook may not go to; the message says which and why.

    It never holds the URL's path, query or password: those may be the receiver's secrets.
    """


def check_url(url: str, *, private: bool, allow: Sequence[str] = ()) -> None:
    """Raise RefusedAddressError for an address that no look-up can make right.

    `allow`: patterns of host names, one of which must match; none means any.

    >>> check_url("https://shop.example/hook", private=False)
    >>> check_url("https://evil.example", private=False, allow=["*.shop.example"])
    Traceback (most recent call last):
    sinks.addresses.RefusedAddressError: evil.example: allowed by LAIKE_WEBHOOK_ALLOW is *.shop.example
    """  # noqa: E501 - the line of a traceback
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        raise RefusedAddressError("this is not a URL: https://host/path is expected") from None
    if parts.userinfo or parts.fragment:
        raise RefusedAddressError(f"{parts.host}: no user, password or fragment in a webhook's URL")
    loopback = parts.host == "localhost" or _is_loopback(parts.host)
    if not parts.host or not (
        parts.scheme == "https" or (parts.scheme == "http" and loopback and private)
    ):
        shown = f"{parts.scheme}://{parts.host}"
        raise RefusedAddressError(f"{shown}: https, or http to loopback if private")
    check_host(parts.host, allow)


def check_host(host: str, allow: Sequence[str]) -> None:
    """Raise RefusedAddressError for a name that matches none of `allow`; none means any."""
    name = host.rstrip(".").lower()
    if allow and not any(fnmatchcase(name, pattern.lower()) for pattern in allow):
        told = ", ".join(allow)
        raise RefusedAddressError(f"{host}: allowed by LAIKE_WEBHOOK_ALLOW is {told}")


async def resolve(host: str, port: int, *, private: bool) -> Address:
    """The address to connect to; all that the name stands for must be allowed."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return choose(host, [str(info[4][0]) for info in found], private=private)


def choose(host: str, found: Sequence[str], *, private: bool) -> Address:
    """The first of these addresses, if every one is of the open internet (or `private`)."""
    addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
    for address in addresses:
        if not (is_open(address) or (private and is_own(address))):
            raise RefusedAddressError(f"{host} is {address}, which is not on the open internet")
    return addresses[0]


def is_open(address: Address) -> bool:
    """Whether this is an address of the open internet, an inner one in disguise included.

    >>> [is_open(ipaddress.ip_address(a)) for a in ("1.1.1.1", "10.0.0.1", "::ffff:127.0.0.1")]
    [True, False, False]
    """
    inner = _inner(address)
    if inner is not None:
        return is_open(inner)
    if address in _METADATA or any(address in network for network in _SPECIAL):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        isatap = int.from_bytes(address.packed[8:12]) in _ISATAP
        if address not in _UNICAST or address.teredo or isatap:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_own(address: Address) -> bool:
    """Whether this is of a network of one's own, which `private` allows.

    >>> [is_own(ipaddress.ip_address(a)) for a in ("10.0.0.1", "169.254.169.254")]
    [True, False]
    """
    address = _inner(address) or address
    return address not in _METADATA and any(address in network for network in _OWN)


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, or behind NAT64."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
