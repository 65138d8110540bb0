"""Which rules an event meets, remembered where one field decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.qualification.model.values import Rule

#: Verdicts kept per kind of event: as many pages as a large site has.
REMEMBERED = 10_000
#: Verdicts are kept for texts of up to so many characters: longer ones seldom come again, and take room.
LONGEST_REMEMBERED = 500


class Matcher:
    """The rules for one kind of event.

    Where all of them look at one field, as most models' do, the verdict for a value is worked out once. That changes
    nothing but the time it takes: conditions are functions of the fields alone.
    """

    __slots__ = ("_field", "_rules", "_verdicts")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        looked_at = frozenset[str]().union(*(rule.when.fields for rule in rules))
        # An attribute is looked up in a map, which is no key to remember by.
        single = len(looked_at) == 1 and not next(iter(looked_at)).startswith("attributes")
        self._field = next(iter(looked_at)) if single else None
        self._rules = rules
        self._verdicts: dict[Any, tuple[Rule, ...]] = {}

    def matching(self, fields: Mapping[str, Any]) -> tuple[Rule, ...]:
        """The rules that give for these fields: the first that matches, and every matching one marked `also`."""
        if self._field is None:
            return self._judge(fields)
        value = fields.get(self._field)
        if isinstance(value, str) and len(value) > LONGEST_REMEMBERED:
            return self._judge(fields)
        verdict = self._verdicts.get(value)
        if verdict is None:
            if len(self._verdicts) >= REMEMBERED:
                self._verdicts.clear()
            verdict = self._verdicts[value] = self._judge(fields)
        return verdict

    def _judge(self, fields: Mapping[str, Any]) -> tuple[Rule, ...]:
        giving = []
        primary = True
        for rule in self._rules:
            if (primary or rule.also) and rule.when.matches(fields):
                giving.append(rule)
                primary = primary and rule.also
        return tuple(giving)
