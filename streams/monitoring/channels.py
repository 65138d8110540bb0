"""Where a lead came from, as one of a few channels that a report can name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: First touch's medium, as analytics programs write it.
_CHANNEL_OF: Final = {
    "cpc": "paid_search",
    "ppc": "paid_search",
    "paid": "paid_search",
    "sem": "paid_search",
    "paidsearch": "paid_search",
    "organic": "organic_search",
    "seo": "organic_search",
    "email": "email",
    "e-mail": "email",
    "newsletter": "email",
    "social": "social",
    "social-media": "social",
    "paid_social": "social",
    "paidsocial": "social",
    "referral": "referral",
    "partner": "referral",
    "display": "display",
    "banner": "display",
    "cpm": "display",
    "affiliate": "affiliate",
    "affiliates": "affiliate",
}

CHANNELS: Final = (*sorted(set(_CHANNEL_OF.values())), "direct", "other", "unknown")


def channel_of(first_touch: Mapping[str, Any] | None) -> str:
    """The marketing channel of a lead, by its first touch's medium: one of `CHANNELS`."""
    if first_touch is None:
        return "unknown"
    medium = first_touch["medium"]
    if medium is None:
        return "referral" if first_touch["referrer"] else "direct"
    return _CHANNEL_OF.get(str(medium).lower(), "other")
