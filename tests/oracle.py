"""A naive twin of the core: all that happened to one lead is kept, and every answer is worked out from it.
Slow and obvious; the core must agree with it.

It has no incremental sums, no thresholds to wait for and no closed forms: a contribution is worth
`w * 2^-((t - t_i) / h)`, interest is summed contribution by contribution, and what time brings about is found
by asking "would anything change now?" every few hours and closing in on the first "yes".
"""

from __future__ import annotations

from collections.abc import Callable

from oracle_standing import DAY, Given, Granted, Happened, Life, Standing

from streams.qualification.events import Event
from streams.qualification.model.values import Model, Rule

HOUR = 3_600_000
#: How often the oracle looks whether time has changed anything.
LOOK_EVERY = 12 * HOUR
#: An interest this close to a threshold, yet not on it, may be judged either way: floats add up differently.
KNIFE_EDGE = 1e-9

#: All the noise that the oracle knows by its user agent.
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
MAIL_PROXY = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"

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


class Oracle(Standing):
    """One lead's life under `model`: `handle` its events, then read `history`, `granted` and `lines`."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.stream_time = 0
        self.history: list[Happened] = []
        self.granted: list[Granted] = []
        #: (at, stage, band, route) whenever one of these became another
        self.lines: list[tuple[int, str, str, str]] = []
        #: an interest was so near a threshold that rounding may decide otherwise
        self.undecidable = False
        self._episodes = 0

    # --- an event arrives ---------------------------------------------------------------------------------

    def judged_at(self, event: Event) -> int:
        known = self.life.as_of if self.life else 0
        return max(known, event.occurred_at, self.stream_time - self.model.grace_ms)

    def handle(self, event: Event) -> None:
        at = self.judged_at(event)
        self.stream_time = max(self.stream_time, event.occurred_at)
        self.pass_time(at)
        # Noise, and a disposition that we don't know, say nothing: no id is remembered, the lead is not looked at.
        silent = (event.kind == "sales_feedback" and event.fields["disposition"] == "UNKNOWN") or self._is_noise(event)
        if self.life is None:
            if silent:
                return
            self.life = Life(at, event.occurred_at, line=("visitor", self.model.band(0.0), "NONE"))
        life = self.life
        if event.event_id in [one.event_id for one in life.events][-64:]:
            return
        life.as_of = at
        if silent:
            return
        life.events.append(event)
        self._known = {}
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

    def _is_noise(self, event: Event) -> bool:
        noise, fields = self.model.noise, event.fields
        sent_at, agent = fields.get("sent_at"), fields.get("user_agent")
        return (
            (bool(noise.internal) and (fields.get("ip") or "").startswith("10."))
            or (event.kind == "email_open" and agent == MAIL_PROXY)
            or (
                bool(noise.scanner_window_ms)
                and sent_at is not None
                and abs(event.occurred_at - sent_at) <= noise.scanner_window_ms
            )
            or (noise.bots and agent == CRAWLER)
        )

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
        cell = CELLS[life.stage, disposition]
        of_now = about is None or (life.episode is not None and about in [one.event_id for one in life.episode])
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
        if cell != ".":
            life.stage_since = event.occurred_at  # also when a lead stays a lead, and rests

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

    def _judge(self, at: int, cause: str, arrival: int = 0) -> None:
        life = self._life
        profile = self.profile()
        persona = self.is_known() and any(one.when.matches(profile) for one in self.model.negative_personas)
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

    # --- telling ------------------------------------------------------------------------------------------

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
            model.mql.interest,
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
