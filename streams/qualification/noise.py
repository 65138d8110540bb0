"""Noise: events that no person's interest stands behind. They are counted, and never scored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from crawleruseragents import is_crawler  # type: ignore[import-untyped]

from streams.qualification.model.values import Model, Noise

#: What `noise_reason` may return, for metrics that want a bounded set.
REASONS = ("machine_open", "scanner", "bot", "internal")

#: Apple's mail privacy proxy loads every image with exactly this user agent, opened or not.
_APPLE_PRIVACY_PROXY = "Mozilla/5.0"
_MACHINE_OPENER = re.compile(
    # image proxies of Gmail and Yahoo,
    r"googleimageproxy|ggpht\.com|yahoomailproxy|yahoo ?cachesystem"
    # security gateways that open what they guard
    r"|barracuda|proofpoint|mimecast|messagelabs|cloudmark|ironport|fireeye|forcepoint|zscaler"
    r"|trend ?micro|sophos",
    re.IGNORECASE,
)
#: A browser's user agent has 100 to 250 characters; the rest of a long one would only cost time.
_LONGEST_USER_AGENT = 512
#: An IPv6 address with its zone has less than this; what is longer is none, and not worth remembering.
_LONGEST_ADDRESS = 100


def noise_reason(kind: str, fields: Mapping[str, Any], occurred_at: int, model: Model) -> str | None:
    """Why the event is noise, one of `REASONS`, or None when a person may stand behind it.

    `internal`: its address is in one of the model's own networks. `machine_open`: a mail proxy or a security
    gateway opened the e-mail. `scanner`: the e-mail was opened too soon after it was sent. `bot`: a known
    crawler's user agent. What is unknown (no address, no user agent) is no noise.
    """
    noise = model.noise
    if noise.internal and (ip := fields.get("ip")) and is_internal(ip, noise):
        return "internal"
    user_agent = fields.get("user_agent")
    if kind == "email_open":
        if user_agent and _opened_by_machine(user_agent[:_LONGEST_USER_AGENT]):
            return "machine_open"
        sent_at = fields.get("sent_at")
        # Clocks differ: an open slightly before its sending is as fast as one slightly after it.
        window = noise.scanner_window_ms
        if window and sent_at is not None and abs(occurred_at - sent_at) <= window:
            return "scanner"
    if noise.bots and user_agent and is_bot(user_agent):
        return "bot"
    return None


def is_internal(ip: str, noise: Noise) -> bool:
    """Whether an address, as it was sent, is in one of the model's own networks."""
    text = ip.strip()
    return len(text) <= _LONGEST_ADDRESS and _is_internal(text, noise.internal)


def is_bot(user_agent: str) -> bool:
    """Whether it is a known crawler's user agent."""
    return _is_bot(user_agent[:_LONGEST_USER_AGENT])


@lru_cache(maxsize=16_384)
def _opened_by_machine(user_agent: str) -> bool:
    return user_agent.strip() == _APPLE_PRIVACY_PROXY or _MACHINE_OPENER.search(user_agent) is not None


@lru_cache(maxsize=16_384)
def _is_bot(user_agent: str) -> bool:
    """Several hundred patterns take half a millisecond: remembered, as few user agents make most traffic."""
    return bool(is_crawler(user_agent))


@lru_cache(maxsize=16_384)
def _is_internal(text: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """A visitor's address comes again with every page."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
