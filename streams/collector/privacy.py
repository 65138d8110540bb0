"""What people may expect of a tracker: to be left alone when they say so, and no more of an address than is needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Protocol

from crawleruseragents import CRAWLER_USER_AGENTS_DATA, matching_crawlers  # type: ignore[import-untyped]

from streams.collector.remembered import remembered
from streams.errors import UsageError

VISITOR_COOKIE: Final = "leadstream_visitor"
OPT_OUT_COOKIE: Final = "leadstream_optout"
_YEAR_S: Final = 365 * 86_400
_LONGEST_VISITOR: Final = 64
_LONGEST_USER_AGENT: Final = 512
Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


class Headers(Protocol):
    """A request's headers, by their names in lower case."""

    def get(self, key: str, default: str | None = None) -> str | None: ...
    def get_all(self, key: str) -> Sequence[str]: ...


class BadNetwork(UsageError):
    """A trusted proxy isn't an address or network."""


def opted_out(headers: Headers) -> bool:
    """Whether the person has said no: Do Not Track, Global Privacy Control, or our opt-out cookie."""
    if headers.get("dnt") == "1" or headers.get("sec-gpc") == "1":
        return True
    return cookie_value(headers, OPT_OUT_COOKIE) is not None


def cookie_value(headers: Headers, name: str) -> str | None:
    """A cookie's value; None if it isn't there, or no id of ours. There may be several lines of cookies: HTTP/2 lets a
    browser send them so, and not every proxy joins them (RFC 9113, 8.2.3).
    """
    if headers.get("cookie") is None:
        return None
    for part in ";".join(headers.get_all("cookie")).split(";"):
        found, _, value = part.strip().partition("=")
        if found == name:
            return value if 0 < len(value) <= _LONGEST_VISITOR and value.isascii() and value.isprintable() else None
    return None


def set_cookie(name: str, value: str, seconds: int = _YEAR_S) -> str:
    """A Set-Cookie header that no script and no unencrypted connection sees. The collector is mostly another site than
    the page, which browsers allow with SameSite=None alone.
    """
    return f"{name}={value}; Max-Age={seconds}; Path=/; Secure; HttpOnly; SameSite=None"


@remembered(16_384)
def machine(user_agent: str) -> bool:
    """Whether a known crawler asks, such as those that preview a link where somebody shared it. Programs that say no
    more than which library they use are taken at their word: a site may fetch an asset on behalf of a person.

    Several hundred patterns take half a millisecond, and few user agents make most traffic.
    """
    found = matching_crawlers(user_agent[:_LONGEST_USER_AGENT])
    return any("http-library" not in CRAWLER_USER_AGENTS_DATA[number].get("tags", ()) for number in found)


@remembered(16_384)
def truncated(address: str) -> str | None:
    """Without its last 8 bits (IPv4) or 80 bits (IPv6), as the European data protection authorities ask; None for what
    is no address.
    """
    found = _address(address)
    if found is None:
        return None
    return str(ip_network(f"{found}/{24 if found.version == 4 else 48}", strict=False).network_address)


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks in CIDR notation. Raises BadNetwork."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text.strip(), strict=False))
        except ValueError:
            raise BadNetwork(
                f"--trusted-proxies: {text!r} is neither an address nor a network such as 10.0.0.0/8."
            ) from None
    return tuple(found)


def client_address(peer: str, forwarded_for: Sequence[str], trusted: tuple[Network, ...]) -> str | None:
    """Whose request it is: the peer, or, where that is a trusted proxy, the last address in X-Forwarded-For that isn't
    one. What stands before that anybody may have written. `forwarded_for` are all lines of that header, in order: some
    proxies add to the line that is there, some add a line.
    """
    found = _address(peer)
    hops = ",".join(forwarded_for).split(",") if forwarded_for else []
    while hops and found is not None and _is_in(found, trusted):
        found = _address(hops.pop())
    return None if found is None else str(found)


@remembered(16_384)
def _address(text: str) -> Address | None:
    """The address in `text`, which may have a port, and be an IPv4 address written as an IPv6 one."""
    text = text.strip()
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ip_address(bare)
    except ValueError:
        return None
    return (isinstance(found, IPv6Address) and found.ipv4_mapped) or found


@lru_cache(maxsize=16_384)
def _is_in(address: Address, trusted: tuple[Network, ...]) -> bool:
    return any(address in network for network in trusted)
