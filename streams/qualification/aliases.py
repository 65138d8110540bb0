"""The ids that point to an id, as that one remembers them: when what is known under it ends, they are told.

Every id, a lead or an alias, knows those that point to it directly. So what is said of a lead finds the ids that are
it, also those that follow an alias to another lead.
"""

from __future__ import annotations

from streams.qualification.events import Event, Transition
from streams.qualification.ids import message_id
from streams.qualification.messages import Forget, Link
from streams.qualification.turn import Turn

#: An id remembers so many aliases of so many characters together. What is beyond that is no alias of it.
MOST_ALIASES = 1_000
MOST_CHARACTERS = 100_000
#: Of an id, in bytes of UTF-8.
LONGEST_ID = 1_000


def with_alias(known: tuple[str, ...], alias: str) -> tuple[str, ...] | None:
    """The `known` aliases of an id and another one; None when there is no room for it."""
    if alias in known:
        return known
    if len(known) >= MOST_ALIASES or sum(map(len, known)) + len(alias) > MOST_CHARACTERS:
        return None
    return (*known, alias)


def forget_aliases(
    id_: str, aliases: tuple[str, ...], source: str, occurred_at: int, until: int, arrival: int, *, erased: bool
) -> list[Transition]:
    """Tell those that point to `id_` that they do so no more; `source` is the id of what brings this about.

    The rest is as in `Forget`.
    """
    return [Forget(one, message_id(one, "forget", source), occurred_at, id_, until, erased, arrival) for one in aliases]


def link_address(turn: Turn, before: str | None, event: Event) -> None:
    """Make the id of the lead's e-mail address an alias of the lead, when the profile in `event` changed it."""
    lead = turn.lead
    alias = address_id(lead.profile.get("email"))
    if alias is None or alias == lead.lead_id or alias == address_id(before):
        return
    aliases = with_alias(lead.aliases, alias)
    if aliases is not None:
        lead.aliases = aliases
        source = message_id(alias, "link", event.event_id)
        turn.out.append(Link(alias, lead.lead_id, source, event.occurred_at, event.arrival, known=True))


def address_id(address: str | None) -> str | None:
    """The id of whoever is known by an e-mail address alone; None for a text that is none, or too long."""
    text = address.strip().lower() if address else ""
    alias = f"email:{text}"
    return alias if "@" in text and len(alias.encode()) <= LONGEST_ID else None
