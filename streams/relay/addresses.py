"""Which addresses the relay may connect to: a target must not be a way into the network that the relay runs in."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, Final

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Well-known and local prefixes of NAT64 (RFC 6052, RFC 8215): an IPv4 address is the last four bytes.
_NAT64: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
#: "IPv4-compatible" addresses (RFC 4291, 2.5.5.1), long out of use.
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")


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
    if not (ip.is_global and not ip.is_multicast and not ip.is_reserved):
        inside = _mapped(ip)
        return inside is not None and is_public(str(inside))
    return all(is_public(str(one)) for one in _tunnelled(ip))


def _mapped(ip: _Address) -> _Address | None:
    return ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None


def _tunnelled(ip: _Address) -> list[_Address]:
    """IPv4 addresses that an IPv6 address stands for on its way."""
    if not isinstance(ip, ipaddress.IPv6Address):
        return []
    found: list[_Address] = [one for one in (ip.sixtofour, *(ip.teredo or ())) if one is not None]
    if any(ip in network for network in (*_NAT64, _COMPATIBLE)):
        found.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    return found
