"""Download links: `GET /d/ASSET?l=LEAD` counts, then redirects to where the asset is.

Where that is stands in a file of the site's owner: never in the request, so that a link of ours leads nowhere else.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from streams.collector.events import Outcome, Refused, Visit, event_of, judged
from streams.collector.values import text
from streams.errors import UsageError
from streams.wire.bad import BadRecord

PROTOCOL: Final = "download"


class BadAssets(UsageError):
    """The file of assets can't be read, or leads somewhere odd."""


class Asset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an asset is, and what it is for."""

    url: str
    title: str | None = None
    funnel_stage: Literal["TOP", "MIDDLE", "BOTTOM", "UNKNOWN"] = "UNKNOWN"


def read_assets(path: Path) -> dict[str, Asset]:
    """`name: {url: https://..., title: ..., funnel_stage: TOP}`, one an asset. Raises BadAssets."""
    try:
        assets = msgspec.yaml.decode(path.read_bytes(), type=dict[str, Asset])
    except OSError as error:
        raise BadAssets(f"Can't read {path}: {(error.strerror or str(error)).lower()}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAssets(f"{path}: {error}. Write `name: {{url: https://...}}`, one an asset.") from None
    for name, asset in assets.items():
        try:
            address = urlsplit(asset.url)
        except ValueError:
            address = urlsplit("")
        # The address goes into a header as it is.
        if address.scheme not in ("http", "https") or not address.hostname or not _printable(asset.url):
            raise BadAssets(f"{path}: the url of {name!r} is no web address: write it as https://host/path.")
    return assets


def outcomes(name: str, asset: Asset, query: Mapping[str, str], visit: Visit, original: bytes) -> list[Outcome]:
    """The Download of one click on a link."""
    lead_id = text(query.get("l")) or visit.visitor
    if lead_id is None:
        return [Refused("downloads", BadRecord("INVALID", "l (the lead) is missing, and no cookie tells"), original)]
    event = event_of(
        "downloads",
        str(uuid.uuid4()),
        lead_id,
        visit.received_at,
        asset_id=name,
        funnel_stage=asset.funnel_stage,
        title=asset.title,
        url=asset.url,
    )
    return [judged("downloads", event, visit.received_at, original)]


def _printable(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url
