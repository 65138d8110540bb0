"""Many ids in memory: leads and aliases, and what they tell each other, delivered at once.

What a partitioned system does with messages on their way, without the way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from streams.qualification.events import Event, Transition, event_for
from streams.qualification.identity import let_time_pass, receive, receive_event
from streams.qualification.lead import Lead
from streams.qualification.messages import Forget, Forward, Link, Merge, Message
from streams.qualification.model.values import Model
from streams.qualification.outcome import Outcome
from streams.qualification.state import Alias, State

_Delivery = tuple[str, Event | Message, tuple[str, ...]]


class Population:
    """All ids that a model judges. `states` may be read."""

    def __init__(self, model: Model) -> None:
        self.states: dict[str, State] = {}
        self._due: dict[str, int | None] = {}
        self._model = model

    @property
    def leads(self) -> dict[str, Lead]:
        return {id_: state for id_, state in self.states.items() if isinstance(state, Lead)}

    @property
    def aliases(self) -> dict[str, Alias]:
        """Those that are left of a lead; not what is left of an erasure."""
        return {id_: state for id_, state in self.states.items() if isinstance(state, Alias) and not state.is_mark}

    def take(self, event: Event, stream_time: int) -> list[Transition]:
        """An event arrives under its own id; what that makes ids tell each other arrives with it.

        `stream_time` as for `judged_at`. Returns all transitions, messages included, in order.
        """
        id_ = event.fields["anonymous_id"] if event.kind == "identity_link" else event.lead_id
        return self._carry([(id_, event, ())], stream_time)

    def advance(self, id_: str, at: int) -> list[Transition]:
        """Time passes until `at` for an id, and what it has to say because of that arrives."""
        state, due = self.states.get(id_), self._due.get(id_)
        if state is None or due is None or due > at:
            return []
        outcome = let_time_pass(id_, state, at, self._model)
        self._keep(id_, outcome)
        return [*outcome.transitions, *self._carry(_deliveries(outcome.transitions, None), at)]

    def _carry(self, first: Sequence[_Delivery], stream_time: int) -> list[Transition]:
        waiting = deque(first)
        out: list[Transition] = []
        while waiting:
            id_, what, passed = waiting.popleft()
            outcome = self._deliver(id_, what, passed, stream_time)
            self._keep(id_, outcome)
            out += outcome.transitions
            waiting += _deliveries(outcome.transitions, what)
        return out

    def _deliver(self, id_: str, what: Event | Message, passed: tuple[str, ...], stream_time: int) -> Outcome:
        state, due, model = self.states.get(id_), self._due.get(id_), self._model
        if isinstance(what, Event):
            return receive_event(id_, state, what, passed, stream_time, model, due)
        return receive(id_, state, what, stream_time, model, due)

    def _keep(self, id_: str, outcome: Outcome) -> None:
        if outcome.state is None:
            self.states.pop(id_, None)
            self._due.pop(id_, None)
        else:
            self.states[id_] = outcome.state
            self._due[id_] = outcome.due


def _deliveries(transitions: Sequence[Transition], event: Event | Message | None) -> list[_Delivery]:
    found: list[_Delivery] = []
    for one in transitions:
        if isinstance(one, Forward):
            assert isinstance(event, Event), "only events are forwarded"
            found.append((one.lead_id, event_for(one.lead_id, event), one.passed))
        elif isinstance(one, Link | Merge | Forget):
            found.append((one.lead_id, one, ()))
    return found
