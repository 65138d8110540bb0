"""The ids that are a lead too, as the lead remembers them: erasing it erases them."""

from __future__ import annotations

from streams.qualification.events import Event
from streams.qualification.ids import message_id
from streams.qualification.lead import Lead
from streams.qualification.messages import Forget, Link
from streams.qualification.turn import Turn

#: A lead remembers so many aliases of so many characters together. What is beyond that is no alias of it.
MOST_ALIASES = 1_000
MOST_CHARACTERS = 100_000
#: Of an id, in bytes of UTF-8.
LONGEST_ID = 1_000


def add_alias(lead: Lead, alias: str, target: str) -> bool:
    """Remember that `alias`, which points to `target`, is this lead. False when there is no room for it."""
    if alias == lead.lead_id:
        return True
    aliases = lead.aliases
    target = "" if target == lead.lead_id else target
    if alias not in aliases:
        characters = sum(map(len, aliases)) + sum(map(len, aliases.values()))
        if len(aliases) >= MOST_ALIASES or characters + len(alias) + len(target) > MOST_CHARACTERS:
            return False
    aliases[alias] = target
    return True


def forget_aliases(turn: Turn, erasure: Event) -> None:
    """Tell all aliases of an erased lead that they are none any more."""
    lead = turn.lead
    for alias, target in lead.aliases.items():
        source = message_id(alias, "forget", erasure.event_id)
        turn.out.append(Forget(alias, source, erasure.occurred_at, target or lead.lead_id))


def link_address(turn: Turn, before: str | None, event: Event) -> None:
    """Make the id of the lead's e-mail address an alias of the lead, when the profile in `event` changed it."""
    lead = turn.lead
    alias = address_id(lead.profile.get("email"))
    if alias is None or alias == lead.lead_id or alias == address_id(before):
        return
    if add_alias(lead, alias, lead.lead_id):
        source = message_id(alias, "link", event.event_id)
        turn.out.append(Link(alias, lead.lead_id, source, event.occurred_at, event.arrival, known=True))


def address_id(address: str | None) -> str | None:
    """The id of whoever is known by an e-mail address alone; None for a text that is none, or too long."""
    text = address.strip().lower() if address else ""
    alias = f"email:{text}"
    return alias if "@" in text and len(alias.encode()) <= LONGEST_ID else None
