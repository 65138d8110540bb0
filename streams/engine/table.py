"""Envelopes by key: what a partition keeps in memory. Compiled where that could be done at installation
(`native/table.h`): a lead takes half the memory that it takes in a dict, and thousands are looked up together.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING

from streams.engine.compiled import compiled

_native = compiled("streams.engine._native")

if TYPE_CHECKING or _native is None:

    class Table(dict[bytes, bytes]):
        """Bytes by key."""

        __slots__ = ()

else:

    class Table(_native.Table, MutableMapping):
        """Bytes by key. Values are copied in and out, and nothing may be changed while a shortcut reads."""

        __slots__ = ()

        def __init__(self, known: Mapping[bytes, bytes] | None = None) -> None:
            self.update(known or {})
