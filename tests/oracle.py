"""A naive twin of the core: all that happened to one lead is kept, and every answer is worked out from it.
Slow and obvious; the core must agree with it.

It has no incremental sums, no thresholds to wait for and no closed forms: a contribution is worth
`w * 2^-((t - t_i) / h)`, interest is summed contribution by contribution, and what time brings about is found
by asking "would anything change now?" every few hours and closing in on the first "yes".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.qualification.events import Event
from streams.qualification.model import Model, Rule, SqlPath

HOUR, DAY = 3_600_000, 86_400_000
#: How often the oracle looks whether time has changed anything.
LOOK_EVERY = 12 * HOUR
#: An interest this close to a threshold, yet not on it, may be judged either way: floats add up differently.
KNIFE_EDGE = 1e-9

FEEDBACK_TABLE = """
             | ACCEPTED | MEETING_HELD | OPPORTUNITY | WON      | LOST | REJECTED
visitor      | sql      | sql          | opportunity | customer | rest | rest
lead         | sql      | sql          | opportunity | customer | rest | rest
mql          | sql      | sql          | opportunity | customer | rest | rest
sql          | .        | .            | opportunity | customer | rest | rest
opportunity  | .        | .            | .           | customer | rest | rest
customer     | .        | .            | .           | .        | .    | .
disqualified | .        | .            | opportunity | customer | .    | .
"""


def read_table(text: str) -> dict[tuple[str, str], str]:
    """`{(stage, disposition): cell}` of the table above."""
    head, *rows = [[cell.strip() for cell in line.split("|")] for line in text.strip("\n").splitlines()]
    return {(row[0], column): cell for row in rows for column, cell in zip(head[1:], row[1:], strict=True)}


CELLS = read_table(FEEDBACK_TABLE)


@dataclass
class Given:
    """Points that an event gave."""

    rule: str
    group: str
    points: float
    occurred_at: int
    booking_id: str | None = None


@dataclass
class Happened:
    """A LifecycleEvent, as far as the oracle speaks of it."""

    at: int
    cause: str
    from_stage: str
    to_stage: str


@dataclass
class Granted:
    """A Qualification; `event_id` is filled in by whoever compares, for feedback to name."""

    at: int
    stage: str
    path: str | None
    episode: int
    event_id: str = ""


@dataclass
class Life:
    """A lead from its first event until it is forgotten."""

    as_of: int
    stage_since: int
    stage: str = "visitor"
    last_event: int = 0
    events: list[Event] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    #: (rule, UTC day) of every time a rule gave points
    gave: list[tuple[str, int]] = field(default_factory=list)
    scored: list[int] = field(default_factory=list)
    #: silences, by their beginnings, that have had their inactivity points
    silences: set[int] = field(default_factory=set)
    episode: list[Granted] | None = None
    episode_ended: int | None = None
    rest_ends: int | None = None
    breach: int | None = None
    give_up: int | None = None
    told_low_touch: bool = False
    line: tuple[str, str, str] = ("visitor", "D", "NONE")


class Oracle:
    """One lead's life under `model`: `handle` its events, then read `history`, `granted` and `lines`."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.life: Life | None = None
        self.stream_time = 0
        self.history: list[Happened] = []
        self.granted: list[Granted] = []
        #: (at, stage, band, route) whenever one of these became another
        self.lines: list[tuple[int, str, str, str]] = []
        #: an interest was so near a threshold that rounding may decide otherwise
        self.undecidable = False
        self._episodes = 0
        # Not to wait for the same sums again within one look: forgotten with every change.
        self._known: dict[str, Any] = {}
        self._worth: dict[int, float] = {}

    # --- what the lead is worth ---------------------------------------------------------------------------

    def group_value(self, name: str, at: int) -> float:
        given = self.life.given if self.life else []
        mine = [(one.points, one.occurred_at) for one in given if one.group == name]
        return naive_value(mine, self.model.groups[name].half_life_ms, at)

    def interest(self, at: int) -> float:
        if at not in self._worth:
            self._worth = {at: self._interest(at)}
        return self._worth[at]

    def _interest(self, at: int) -> float:
        total = 0.0
        for name, group in self.model.groups.items():
            value = self.group_value(name, at)
            if group.cap is not None:
                value = min(value, group.cap)
            if group.floor is not None:
                value = max(value, group.floor)
            total += value
        return total

    def profile(self) -> dict[str, Any]:
        if "profile" not in self._known:
            self._known["profile"] = self._profile()
        return self._known["profile"]  # type: ignore[no-any-return]

    def _profile(self) -> dict[str, Any]:
        """Field by field what was said last."""
        known: dict[str, Any] = {}
        said = [one for one in self._life.events if one.kind == "lead_profile"]
        for one in sorted(
            said, key=lambda event: event.occurred_at
        ):  # stable: of two at one instant the later to arrive
            news = {name: value for name, value in one.fields.items() if value not in (None, "UNKNOWN")}
            attributes = {**known.get("attributes", {}), **news.get("attributes", {})}
            known |= news
            known["attributes"] = attributes
        return known

    def fit(self) -> float:
        if "fit" not in self._known:
            profile = self.profile()
            self._known["fit"] = sum(rule.points for rule in self.model.fit if rule.when.matches(profile))
        return self._known["fit"]  # type: ignore[no-any-return]

    def band(self) -> str:
        if "band" not in self._known:
            fit = self.fit()
            self._known["band"] = next(
                (name for name, cut_off in self.model.fit_bands if fit >= cut_off), "D"
            )
        return self._known["band"]  # type: ignore[no-any-return]

    def cell(self, at: int) -> str:
        matrix, interest = self.model.matrix, self.interest(at)
        row = matrix.high if self.fit() >= matrix.high_fit else matrix.low
        return row[(interest >= matrix.warm) + (interest >= matrix.hot)]

    def route(self, at: int) -> str:
        stage = self._life.stage
        if stage == "sql":
            return "SALES"
        if stage == "disqualified":
            return "NONE"
        cell = self.cell(at)
        return "NURTURE" if cell == "SALES" and stage in ("visitor", "lead", "mql") else cell

    def fact_since(self, name: str) -> int | None:
        """When the fact last became true, if it is; of demo bookings each stands by itself."""
        fact = self.model.facts[name]
        became: dict[tuple[Any, bool], int] = {}
        for one in self._life.events:
            if one.kind == fact.on:
                about = one.fields.get("booking_id")
                if fact.when.matches(one.fields):
                    became[about, True] = max(became.get((about, True), 0), one.occurred_at)
                elif fact.until is not None and fact.until.matches(one.fields):
                    became[about, False] = max(became.get((about, False), 0), one.occurred_at)
        true = [
            at for (about, is_true), at in became.items() if is_true and at > became.get((about, False), 0)
        ]
        return max(true, default=None)

    def visits(self, at: int, within_ms: int) -> int:
        """Days with a page view of which any part lies in the window."""
        seen = {one.occurred_at // DAY for one in self._life.events if one.kind == "page_view"}
        return sum(day * DAY <= at and (day + 1) * DAY > at - within_ms for day in seen)

    # --- an event arrives ---------------------------------------------------------------------------------

    def judged_at(self, event: Event) -> int:
        known = self.life.as_of if self.life else 0
        return max(known, event.occurred_at, self.stream_time - self.model.grace_ms)

    def handle(self, event: Event) -> None:
        at = self.judged_at(event)
        self.stream_time = max(self.stream_time, event.occurred_at)
        self.pass_time(at)
        if self.life is None:
            self.life = Life(at, event.occurred_at)
        life = self.life
        if event.event_id in [one.event_id for one in life.events][-64:]:
            return
        life.events.append(event)
        self._known = {}
        life.as_of = at
        life.last_event = at
        if event.kind == "erasure":
            self._forget(at, "ERASED")
            return
        cause = "QUALIFIED"
        if event.kind == "lead_profile":
            cause = "PROFILE"
            if life.stage == "visitor":
                self._happens(at, "IDENTIFIED", "lead", since=event.occurred_at)
        if event.kind == "sales_feedback":
            cause = "FEEDBACK"
            self._feedback(event, at)
        if event.kind == "demo_booking" and event.fields["status"] in ("CANCELLED", "NO_SHOW"):
            life.given = [
                one
                for one in life.given
                if one.booking_id != event.fields["booking_id"] or one.occurred_at > event.occurred_at
            ]
        self._score(event)
        self._worth = {}
        self._look_closely(at)
        self._judge(at, cause, event.arrival)

    def _score(self, event: Event) -> None:
        rules = [rule for rule in self.model.rules.get(event.kind, ()) if rule.when.matches(event.fields)]
        first = next((rule for rule in rules if not rule.also), None)
        gave = [self._give(rule, event) for rule in rules if rule is first or rule.also]
        if any(gave):
            self._life.scored.append(event.occurred_at)

    def _give(self, rule: Rule, event: Event) -> bool:
        life = self._life
        about = event.fields.get("booking_id") if event.kind == "demo_booking" else None
        if about is not None and self._booked(rule, event, about):
            return False
        day = event.occurred_at // DAY
        if rule.at_most is not None and life.gave.count((rule.name, day)) >= rule.at_most:
            return False
        points = rule.points if rule.points is not None else _measured(rule, event)
        if points == 0:
            return False
        life.gave.append((rule.name, day))
        life.given.append(Given(rule.name, rule.group, points, event.occurred_at, about))
        return True

    def _booked(self, rule: Rule, event: Event, about: str) -> bool:
        """The rule has given for this booking, or the booking has been called off since."""
        life = self._life
        called_off = event.fields["status"] not in ("CANCELLED", "NO_SHOW") and any(
            one.kind == "demo_booking"
            and one.fields["booking_id"] == about
            and one.fields["status"] in ("CANCELLED", "NO_SHOW")
            and one.occurred_at >= event.occurred_at
            for one in life.events
        )
        return called_off or any(one.booking_id == about and one.rule == rule.name for one in life.given)

    # --- sales answers ------------------------------------------------------------------------------------

    def _feedback(self, event: Event, at: int) -> None:
        life = self._life
        disposition, about = event.fields["disposition"], event.fields["qualification_id"]
        cell = CELLS.get((life.stage, disposition))
        if cell is None:
            return  # a disposition that we don't know
        of_now = about is None or (
            life.episode is not None and about in [one.event_id for one in life.episode]
        )
        if not of_now or event.occurred_at < life.stage_since:
            self._happens(at, "FEEDBACK")
            return
        if life.stage == "sql":
            life.breach = life.give_up = None
        if cell == "rest":
            self._rest(at, "FEEDBACK", event.fields["reason"], since=event.occurred_at)
        elif cell == ".":
            self._happens(at, "FEEDBACK")
        else:
            life.rest_ends = None
            if cell == "sql":
                self._grant(at, "sql", "sales")
            self._happens(at, "FEEDBACK", cell, since=event.occurred_at)
            if cell == "customer":
                self._end_episode(at)

    def _rest(self, at: int, cause: str, reason: str | None, since: int | None = None) -> None:
        life, rest = self._life, self.model.rest
        lasts = rest.reasons.get(reason or "", rest.default_ms)
        self._happens(at, cause, "disqualified" if lasts is None else "lead", since=since)
        life.rest_ends = None if lasts is None else at + lasts
        self._end_episode(at)

    # --- time passes --------------------------------------------------------------------------------------

    def pass_time(self, at: int) -> None:
        """Everything that is due up to and including `at`, each at its own time."""
        while self.life is not None:
            due, happens = min(self._appointments(), key=lambda one: one[0], default=(at + 1, None))
            change = self._first_change(self.life.as_of, min(due - 1, at))
            if change is not None:
                self.life.as_of = change
                self._judge(change, "ROSE")
            elif happens is not None and due <= at:
                self.life.as_of = due
                happens(due)
            else:
                return

    def _appointments(self) -> list[tuple[int, Callable[[int], None]]]:
        life, model = self._life, self.model
        found: list[tuple[int | None, Callable[[int], None]]] = [
            (life.rest_ends, self._rest_ends),
            (life.breach if life.stage == "sql" else None, self._breach),
            (life.give_up if life.stage == "sql" else None, self._give_up),
        ]
        silence = max(life.scored, default=None)
        if model.inactivity is not None and silence is not None and silence not in life.silences:
            found.append((silence + model.inactivity.after_ms, self._inactive))
        if life.stage == "visitor":
            found.append((life.last_event + model.visitor_ttl_ms, lambda at: self._forget(at, "EXPIRED")))
        return [(max(due, life.as_of), happens) for due, happens in found if due is not None]

    def _rest_ends(self, at: int) -> None:
        self._life.rest_ends = None
        self._happens(at, "REST_ENDED")
        self._judge(at, "REST_ENDED")

    def _breach(self, at: int) -> None:
        self._life.breach = None
        self._happens(at, "SLA_BREACHED")

    def _give_up(self, at: int) -> None:
        self._rest(at, "GAVE_UP", None)
        self._judge(at, "GAVE_UP")

    def _inactive(self, at: int) -> None:
        life, rule = self._life, self.model.inactivity
        assert rule is not None
        life.silences.add(max(life.scored))
        life.given.append(Given("inactivity", rule.group, rule.points, at))
        self._worth = {}
        self._look_closely(at)
        self._judge(at, "INACTIVE")

    def _forget(self, at: int, cause: str) -> None:
        self._happens(at, cause, "visitor")
        self.life = None
        self._known, self._worth = {}, {}

    def _first_change(self, after: int, last: int) -> int | None:
        """The first instant in (after, last] at which a judgement would change anything."""
        low = after
        while low < last:
            high = low + 1 if low == after else min(low + LOOK_EVERY, last)
            if self._would_change(high):
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (low, middle) if self._would_change(middle) else (middle, high)
                return high
            low = high
        return None

    # --- judgement ----------------------------------------------------------------------------------------

    def _would_change(self, at: int) -> bool:
        return (
            self._grantable(at) is not None
            or self._cools(at)
            or self._enters_low_touch(at)
            or self._leaves_low_touch(at)
            or self._line(at) != self._life.line
        )

    def _judge(self, at: int, cause: str, arrival: int = 0) -> None:
        life = self._life
        profile = self.profile()
        persona = any(one.when.matches(profile) for one in self.model.negative_personas)
        if persona and life.stage in ("visitor", "lead", "mql", "sql"):
            self._happens(at, "PERSONA", "disqualified")
            life.rest_ends = None
            self._end_episode(at)
        grantable = self._grantable(at)
        if grantable is not None:
            stage, path = grantable
            life.rest_ends = None
            self._grant(at, stage, path)
            if stage == "sql" and self.model.sla is not None:
                life.breach = max(at, arrival) + self.model.sla.respond_within_ms
                life.give_up = max(at, arrival) + self.model.sla.give_up_ms
            self._happens(at, cause, stage)
        elif self._cools(at):
            self._happens(at, "INACTIVE" if cause == "INACTIVE" else "COOLED", "lead")
            self._end_episode(at)
        if self._leaves_low_touch(at):
            life.told_low_touch = False
        elif self._enters_low_touch(at):
            life.told_low_touch = True
            self._happens(at, "LOW_TOUCH")
        if self._line(at) != life.line:
            life.line = self._line(at)
            self.lines.append((at, *life.line))

    def _grantable(self, at: int) -> tuple[str, str | None] | None:
        """`(stage, path)` of the qualification that the lead deserves at `at`."""
        life, model, profile = self._life, self.model, self.profile()
        if life.stage not in ("visitor", "lead", "mql"):
            return None
        if not _holds(model.sql_blocked_by, profile):
            for path in model.sql_paths:
                if self._path_holds(path, at):
                    return "sql", path.name
        if life.stage == "mql" or life.rest_ends is not None or _holds(model.mql.blocked_by, profile):
            return None
        known = all(profile.get(name) is not None for name in model.mql.requires)
        return ("mql", None) if known and self.cell(at) in ("NURTURE", "SALES") else None

    def _path_holds(self, path: SqlPath, at: int) -> bool:
        life, profile = self._life, self.profile()
        if path.fact is None and life.rest_ends is not None:
            return False
        if path.fact is not None:
            since = self.fact_since(path.fact)
            if since is None or (life.episode_ended is not None and since <= life.episode_ended):
                return False
            if path.within_ms is not None and since < at - path.within_ms:
                return False
        confirmed = [profile.get(name) for name in ("budget", "authority", "need", "timeline")].count(
            "CONFIRMED"
        )
        return (
            (path.fit is None or self.fit() >= path.fit)
            and (path.interest is None or self.interest(at) >= path.interest)
            and (path.bant is None or confirmed >= path.bant)
            and (path.visits is None or self.visits(at, path.visits.within_ms) >= path.visits.at_least)
        )

    def _cools(self, at: int) -> bool:
        mql = self.model.mql
        return self._life.stage == "mql" and self.interest(at) < mql.interest * (1 - mql.hysteresis)

    def _enters_low_touch(self, at: int) -> bool:
        life = self._life
        return not life.told_low_touch and life.stage in ("lead", "mql") and self.route(at) == "LOW_TOUCH"

    def _leaves_low_touch(self, at: int) -> bool:
        ends_below = self.model.matrix.hot * (1 - self.model.mql.hysteresis)
        cooled = self.interest(at) < ends_below and self.route(at) != "LOW_TOUCH"
        return self._life.told_low_touch and cooled

    def _line(self, at: int) -> tuple[str, str, str]:
        return self._life.stage, self.band(), self.route(at)

    # --- telling ------------------------------------------------------------------------------------------

    @property
    def _life(self) -> Life:
        assert self.life is not None
        return self.life

    def _happens(self, at: int, cause: str, to: str | None = None, since: int | None = None) -> None:
        life = self._life
        self.history.append(Happened(at, cause, life.stage, to or life.stage))
        if to is not None and to != life.stage:
            life.stage, life.stage_since = to, at if since is None else since

    def _grant(self, at: int, stage: str, path: str | None) -> None:
        life = self._life
        if life.episode is None:
            life.episode = []
            self._episodes += 1
        granted = Granted(at, stage.upper(), path, self._episodes)
        life.episode.append(granted)
        self.granted.append(granted)

    def _end_episode(self, at: int) -> None:
        life = self._life
        life.episode, life.episode_ended = None, at
        life.breach = life.give_up = None

    def _look_closely(self, at: int) -> None:
        model, interest = self.model, self.interest(at)
        thresholds = [
            model.matrix.warm,
            model.matrix.hot,
            *(path.interest for path in model.sql_paths if path.interest),
        ]
        thresholds += [one * (1 - model.mql.hysteresis) for one in (model.mql.interest, model.matrix.hot)]
        self.undecidable |= any(0 < abs(interest - threshold) < KNIFE_EDGE for threshold in thresholds)


def _measured(rule: Rule, event: Event) -> float:
    per = rule.points_per
    assert per is not None
    value = event.fields.get(per.field) or 0
    units = max(int(value // per.each), 0)
    return per.points * (units if per.at_most is None else min(units, per.at_most))


def _holds(condition: Any, fields: Mapping[str, Any]) -> bool:
    return condition is not None and condition.matches(fields)


def naive_value(contributions: Sequence[tuple[float, int]], half_life_ms: int, at: int) -> float:
    """The sum of `(points, occurred_at)` at `at`."""
    total = 0.0
    for points, occurred_at in contributions:
        total += points * 2.0 ** -((at - occurred_at) / half_life_ms)
    return total
