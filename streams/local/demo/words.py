"""Times in words, all in UTC."""

from __future__ import annotations

import time


def day_of(at: int) -> str:
    """`at` (ms) as `7 Dec`."""
    return time.strftime("%d %b", time.gmtime(at / 1000)).lstrip("0")


def minute_of(at: int) -> str:
    """`at` (ms) as `2026-12-07 14:05`."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at / 1000))


def moment_of(at: int) -> str:
    """`at` (ms) as `Mon  7 Dec 14:05`."""
    return time.strftime("%a %e %b %H:%M", time.gmtime(at / 1000))


def short_moment_of(at: int) -> str:
    """`at` (ms) as ` 7 Dec 14:05`."""
    return time.strftime("%e %b %H:%M", time.gmtime(at / 1000))
