"""What time alone brings about: the next thing that is due for a lead, and doing it."""

from __future__ import annotations

from streams.qualification.aliases import forget_aliases
from streams.qualification.crossing import next_crossing, pulls_at, quiet_until
from streams.qualification.events import Event
from streams.qualification.ids import output_id
from streams.qualification.interest import contribute, parts_of
from streams.qualification.lead import DISQUALIFIED, MQL, SQL, VISITOR, Episode, Lead
from streams.qualification.lifecycle import inactive_due, judge, rest
from streams.qualification.model.values import Model
from streams.qualification.turn import QUALIFIABLE, Turn

#: The kinds of due things; of two at the same instant the earlier in this list comes first.
REST_ENDS, SLA_BREACH, GIVE_UP, INACTIVITY, CROSSING, FORGET = range(6)
Due = tuple[int, int]
#: Kinds of leads whose thresholds are remembered: profiles made up by the thousand have as many fits.
_MOST_KINDS = 10_000


def next_due(lead: Lead, model: Model, until: int) -> Due | None:
    """The next thing that time brings about up to and including `until`: (instant in ms, kind), or None.

    A crossing that turns out to change nothing is also a due thing; it costs a look.
    """
    due = [one for one in _dated(lead, model) if one[0] <= until]
    parts = parts_of(lead, model)
    pulls = pulls_at(parts, lead.as_of)
    for threshold in watched(lead, model) if parts else ():
        quiet = quiet_until(pulls, threshold)
        if quiet is not None and quiet < until:
            crossing = next_crossing(parts, threshold, lead.as_of)
            if crossing is not None and crossing <= until:
                due.append((crossing, CROSSING))
    return min(due, default=None)


def look_again_at(lead: Lead, model: Model, after: int) -> int | None:
    """An instant (ms) later than `after` before which nothing is due, given that nothing is up to `after`.

    It is when something is due, or the cheap bound of a crossing; a look at that time then finds the exact one.
    """
    times = [at for at, _ in _dated(lead, model)]
    parts = parts_of(lead, model)
    pulls = pulls_at(parts, lead.as_of)
    for threshold in watched(lead, model) if parts else ():
        quiet = quiet_until(pulls, threshold)
        if quiet is not None and quiet <= after:
            quiet = next_crossing(parts, threshold, lead.as_of)
        if quiet is not None:
            times.append(quiet)
    return min(times, default=None)


def _dated(lead: Lead, model: Model) -> list[Due]:
    """The due things whose time needs no search."""
    due: list[Due] = []
    if lead.resting_until:
        due.append((max(lead.resting_until, lead.as_of), REST_ENDS))
    episode = lead.episode
    if episode is not None and lead.stage == SQL:
        if episode.respond_by:
            due.append((max(episode.respond_by, lead.as_of), SLA_BREACH))
        if episode.give_up_at:
            due.append((max(episode.give_up_at, lead.as_of), GIVE_UP))
    inactive_at = inactive_due(lead, model)
    if inactive_at is not None:
        due.append((inactive_at, INACTIVITY))
    if lead.stage == VISITOR:
        due.append((max(lead.last_event + model.visitor_ttl_ms, lead.as_of), FORGET))
    return due


def pass_time(turn: Turn, at: int) -> None:
    """Do everything that is due up to and including `at`, each at its own time."""
    while not turn.gone and pass_to_next(turn, at) is not None:
        pass


def pass_to_next(turn: Turn, at: int) -> Due | None:
    """Do the next thing that is due up to and including `at`. None when nothing is."""
    due = next_due(turn.lead, turn.model, at)
    if due is not None:
        turn.lead.as_of = due[0]
        turn.groups_changed()
        _do(turn, *due)
    return due


def _do(turn: Turn, at: int, kind: int) -> None:
    lead = turn.lead
    if kind == REST_ENDS:
        lead.resting_until = 0
        turn.change(at, "REST_ENDED")
        judge(turn, at, "REST_ENDED")
    elif kind == SLA_BREACH:
        _breach(turn, at)
    elif kind == GIVE_UP:
        rest(turn, at, "GAVE_UP", None, "sales did not answer")
        judge(turn, at, "GAVE_UP")
    elif kind == INACTIVITY:
        _inactivity(turn, at)
    elif kind == CROSSING:
        judge(turn, at, "ROSE")
    else:
        turn.forget(at, "EXPIRED", None)
        source = output_id(lead.lead_id, "end", at, lead.sequence)
        turn.out += forget_aliases(lead.lead_id, lead.aliases, source, at, at, at, erased=False)


def _breach(turn: Turn, at: int) -> None:
    episode = turn.lead.episode
    assert episode is not None
    respond_by = episode.respond_by
    turn.lead.episode = Episode(
        episode.episode_id,
        episode.started_at,
        episode.mql_id,
        episode.sql_id,
        give_up_at=episode.give_up_at,
    )
    turn.change(
        at,
        "SLA_BREACHED",
        reason="sales did not answer in time",
        qualification_id=episode.qualification_id,
        respond_by=respond_by,
    )


def _inactivity(turn: Turn, at: int) -> None:
    rule = turn.model.inactivity
    assert rule is not None
    lead = turn.lead
    lead.inactive = True
    silence = Event("inactivity", lead.lead_id, "", at, at, {})
    contribute(lead, turn.model.groups[rule.group], "inactivity", silence, rule.points)
    turn.groups_changed()
    judge(turn, at, "INACTIVE")


def watched(lead: Lead, model: Model) -> tuple[float, ...]:
    """The thresholds at which the lead's route, stage or paths may change: the same for all leads of a kind."""
    kind = (lead.stage, lead.low_touch, lead.fit)
    thresholds = model.watched.get(kind)
    if thresholds is None:
        if len(model.watched) >= _MOST_KINDS:
            model.watched.clear()
        thresholds = model.watched[kind] = thresholds_of(model, *kind)
    return thresholds


def thresholds_of(model: Model, stage: str, low_touch: bool, fit: float) -> tuple[float, ...]:
    """What `watched` remembers: ascending, in points."""
    return tuple(sorted(_thresholds(model, stage, low_touch, fit)))


def _thresholds(model: Model, stage: str, low_touch: bool, fit: float) -> set[float]:
    matrix = model.matrix
    found = set()
    if low_touch:
        found.add(model.low_touch_ends_below)
    if stage in (DISQUALIFIED, SQL):
        return found
    cold, warm, hot = matrix.high if fit >= matrix.high_fit else matrix.low
    if cold != warm:
        found.add(matrix.warm)
    if warm != hot:
        found.add(matrix.hot)
    if stage == MQL:
        found.add(model.mql.cools_below)
    elif stage in QUALIFIABLE and fit >= model.mql.fit:
        found.add(model.mql.interest)
    if stage in QUALIFIABLE:
        for path in model.sql_paths:
            if path.interest is not None and (path.fit is None or fit >= path.fit):
                found.add(path.interest)
    return found
