"""Many people in memory, for tests of who is who: an event after the other, and all that comes of them at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from handmade import DEFAULT, download, event, pricing

from streams.qualification.events import Changed, Event, Ignored, Qualified, Transition
from streams.qualification.lead import Lead
from streams.qualification.population import Population
from streams.qualification.state import Alias, State


def by(lead_id: str, told: Event) -> Event:
    """The event as one of `lead_id`."""
    return msgspec.structs.replace(told, lead_id=lead_id)


def link(alias: str, to: str, at: int, *, revoked: bool = False) -> Event:
    return by(to, event("identity_link", at, anonymous_id=alias, revoked=revoked))


def unmarked(states: Mapping[str, State]) -> dict[str, State]:
    """The states but for the marks of ids that were erased."""
    return {id_: state for id_, state in states.items() if not (isinstance(state, Alias) and state.is_mark)}


class Town:
    """A population, and all that happened in it."""

    def __init__(self, *events: Event, model: Any = DEFAULT) -> None:
        self.people = Population(model)
        self.out: list[Transition] = []
        self.tell(*events)

    def tell(self, *events: Event) -> list[Transition]:
        """What these events bring about."""
        new: list[Transition] = []
        for told in events:
            new += self.people.take(told, told.occurred_at)
        self.out += new
        return new

    def advance(self, id_: str, at: int) -> None:
        self.out += self.people.advance(id_, at)

    def lead(self, id_: str) -> Lead:
        found = self.people.states[id_]
        assert isinstance(found, Lead), f"{id_} is {found}"
        return found

    @property
    def known(self) -> dict[str, State]:
        """What is known of ids, but for the marks of those that were erased."""
        return unmarked(self.people.states)

    def ids(self) -> dict[str, str | None]:
        """id -> what it is: its own (a lead), or what it points to."""
        return {id_: one.to if isinstance(one, Alias) else id_ for id_, one in self.known.items()}

    def changes(self, lead_id: str) -> list[dict[str, Any]]:
        return [one.record for one in self.out if isinstance(one, Changed) and one.record["lead_id"] == lead_id]

    def granted(self) -> list[dict[str, Any]]:
        return [one.record for one in self.out if isinstance(one, Qualified)]

    def ignored(self) -> list[str]:
        return [one.reason for one in self.out if isinstance(one, Ignored)]


def warm(lead_id: str, at: int) -> list[Event]:
    return [by(lead_id, one) for one in (pricing(at), pricing(at + 1), download(at + 2, "BOTTOM"))]
