"""Packing and unpacking what is kept under an id, by the compiled part where there is one: a tenth of the time."""

from __future__ import annotations

from streams.engine.compiled import compiled
from streams.fastpath.pageviews import MODULE
from streams.qualification.lead import Lead
from streams.qualification.state import State, in_full, pack, unpack


class States:
    """As `streams.qualification.state.pack` and `unpack`, byte for byte."""

    def __init__(self) -> None:
        native = compiled(MODULE)
        self._forms = None if native is None else native.LeadForms(Lead.__struct_fields__)

    def pack(self, state: State) -> bytes:
        """The state as bytes."""
        if self._forms is not None and isinstance(state, Lead):
            packed: bytes | None = self._forms.compacted(in_full(state))
            if packed is not None:
                return packed
        return pack(state)

    def unpack(self, payload: bytes) -> State:
        """The inverse. Raises `msgspec.ValidationError` for something else."""
        if self._forms is not None:
            packed: bytes | None = self._forms.expanded(payload)
            if packed is not None:
                return unpack(packed)
        return unpack(payload)
