"""Ids that are far from each other: what one tells another takes a while, and only its own words stay in order."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from random import Random

from streams.qualification.events import Event, Transition, event_for
from streams.qualification.identity import receive, receive_event
from streams.qualification.messages import Forward, Message
from streams.qualification.model.values import Model
from streams.qualification.state import Alias, State, pack, unpack

_Way = tuple[str, str]
_Parcel = tuple[Event | Message, tuple[str, ...]]


class Network:
    """As many partitions as ids. `dice` decides what arrives next; on the way from one id to another nothing passes
    anything else. States are packed whenever they rest.
    """

    def __init__(self, model: Model, dice: Random) -> None:
        self._model = model
        self._dice = dice
        self._states: dict[str, bytes] = {}
        self._times: dict[str, int] = defaultdict(int)
        self._ways: dict[_Way, deque[_Parcel]] = {}
        self.out: list[Transition] = []

    @property
    def states(self) -> dict[str, State]:
        return {id_: unpack(packed) for id_, packed in self._states.items()}

    @property
    def aliases(self) -> dict[str, str]:
        """Alias -> what it points to."""
        return {id_: one.to for id_, one in self.states.items() if isinstance(one, Alias) and one.to is not None}

    def take(self, event: Event) -> None:
        """An event arrives under its own id."""
        id_ = event.fields["anonymous_id"] if event.kind == "identity_link" else event.lead_id
        self._deliver(id_, event, ())

    def travel(self) -> bool:
        """Something that is on its way arrives. False when nothing is."""
        if not self._ways:
            return False
        way = self._dice.choice(list(self._ways))
        what, passed = self._ways[way].popleft()
        if not self._ways[way]:
            del self._ways[way]
        self._deliver(way[1], what, passed)
        return True

    def settle(self) -> None:
        """Everything arrives."""
        for _ in range(100_000):
            if not self.travel():
                return
        raise AssertionError("they never stop talking")

    def tell(self, events: Iterable[Event], haste: float) -> None:
        """Events arrive in order; before each some of what is on its way does: the more, the closer `haste` is to 1."""
        for one in events:
            while self._dice.random() < haste and self.travel():
                pass
            self.take(one)

    def _deliver(self, id_: str, what: Event | Message, passed: tuple[str, ...]) -> None:
        packed, time, model = self._states.get(id_), self._times[id_], self._model
        state = None if packed is None else unpack(packed)
        if isinstance(what, Event):
            outcome = receive_event(id_, state, what, passed, time, model)
        else:
            outcome = receive(id_, state, what, time, model)
        self._times[id_] = max(time, what.occurred_at)
        if outcome.state is None:
            self._states.pop(id_, None)
        else:
            self._states[id_] = pack(outcome.state)
        self.out += outcome.transitions
        for one in outcome.transitions:
            if isinstance(one, Forward):
                assert isinstance(what, Event)
                self._send(id_, one.lead_id, (event_for(one.lead_id, what), one.passed))
            elif isinstance(one, Message):
                self._send(id_, one.lead_id, (one, ()))

    def _send(self, sender: str, to: str, parcel: _Parcel) -> None:
        self._ways.setdefault((sender, to), deque()).append(parcel)
