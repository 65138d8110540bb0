"""Which addresses the relay may connect to: a target must not be a way into the network that the relay runs in."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, Final

#: NAT64 (RFC 6052), by which networks without IPv4 reach it: the address is the last four bytes.
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
#: Assigned, but to nobody's servers (RFC 6890, 7526, 9637), which Python's lists know in part; and the address by which
#: Azure's machines reach what runs them.
_NOT_PUBLIC: Final = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20", "168.63.129.16/32"))
)


class PrivateAddress(OSError):
    """A connection to an address that is not public."""


def public_socket(address_info: tuple[Any, ...]) -> socket.socket:
    """A socket for an address as `getaddrinfo` gives it. Raises PrivateAddress.

    The check is made here, on the very address that is connected to: a name may resolve to another one each time.
    """
    family, kind, protocol, _, address = address_info
    if not is_public(address[0]):
        raise PrivateAddress(address[0])
    return socket.socket(family, kind, protocol)


def is_public(address: str) -> bool:
    """Whether an IP address, and every one inside it, is reachable from everywhere: not loopback, private, link-local,
    multicast or reserved.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if any(ip in network for network in _NOT_PUBLIC):
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast
    inside = _inside(ip)
    if ip.ipv4_mapped is not None or ip in _NAT64:
        return all(map(is_public, inside))
    usual = ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_site_local)
    return usual and all(map(is_public, inside))


def _inside(ip: ipaddress.IPv6Address) -> list[str]:
    """IPv4 addresses that an IPv6 address stands for, or goes through."""
    found = [one for one in (ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())) if one is not None]
    if ip in _NAT64:
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return list(map(str, found))
