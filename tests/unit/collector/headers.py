"""A request's headers as a server gives them: by name in lower case, some on several lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Headers:
    def __init__(self, lines: Mapping[str, str | Sequence[str]]) -> None:
        self._lines = {name: [value] if isinstance(value, str) else list(value) for name, value in lines.items()}

    def get(self, key: str, default: str | None = None) -> str | None:
        return self._lines[key][0] if key in self._lines else default

    def get_all(self, key: str) -> Sequence[str]:
        return self._lines.get(key, [])
