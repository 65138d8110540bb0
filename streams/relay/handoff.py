"""What a salesperson reads before the call: who, why now, what they did, what is known, what to ask, by when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

Record = Mapping[str, Any]

_BANT: Final = (
    ("budget", "a budget"),
    ("authority", "the authority to decide"),
    ("need", "a need"),
    ("timeline", "a date to buy by"),
)
_CONTACT: Final = (("email", "email"), ("phone", "phone"), ("company", "company"), ("job_title", "job title"))
#: The kinds of evidence, in the order of what a salesperson would bring up first.
_KINDS: Final = (
    ("demo_booking", "Booked"),
    ("download", "Downloaded"),
    ("page_view", "Read"),
    ("email_open", "Opened"),
    ("activity", "Also"),
)
_MOST_SUBJECTS: Final = 4
_LONGEST_SUBJECT: Final = 120
_LONGEST_HEADLINE: Final = 255


def handoff_text(record: Record) -> str:
    """A Qualification in plain lines, without markup."""
    return "\n".join(map(_in_one_line, _lines(record)))


def headline(record: Record) -> str:
    """One line for a task's subject: what the lead is, who it is and of which company."""
    return _in_one_line(f"{record['stage']}: {who(record['profile'] or {}, record['lead_id'])}")[:_LONGEST_HEADLINE]


def _in_one_line(text: str) -> str:
    """What leads and trackers say must not look like lines of ours."""
    return " ".join(text.split())


def _lines(record: Record) -> Iterator[str]:
    profile = record["profile"] or {}
    yield who(profile, record["lead_id"])
    contact = [profile[name] for name in ("email", "phone", "country") if profile.get(name)]
    if contact:
        yield ", ".join(contact)
    yield f"Why now: {record['reason']}"
    if record["respond_by"] is not None:
        yield f"Respond by: {_when(record['respond_by'])}"
    yield from _behaviour(record["evidence"])
    yield from touches(record["first_touch"], record["last_touch"])
    yield from _knowledge(profile)
    yield f"Score: interest {record['interest']:.0f}, fit {record['fit']:.0f} ({record['fit_band']})"


def who(profile: Mapping[str, Any], lead_id: str) -> str:
    """Who the lead is, of which company, as far as it is known: `NAME, Director at Example Ltd`."""
    name = str(profile.get("name") or profile.get("email") or lead_id)
    if profile.get("job_title"):
        name += f", {profile['job_title']}"
    company = profile.get("company") or profile.get("company_domain")
    return f"{name} at {company}" if company else name


def _behaviour(evidence: list[Record]) -> Iterator[str]:
    """What the lead did, newest first, each thing once."""
    done = sorted((one for one in evidence if one["points"] > 0), key=lambda one: -one["occurred_at"])
    for kind, verb in _KINDS:
        subjects: dict[str, int] = {}
        for one in done:
            if one["kind"] == kind:
                subjects.setdefault(one["subject"] or one["name"], one["occurred_at"])
        if subjects:
            shown = [f"{_shortened(subject)} ({_day(at)})" for subject, at in list(subjects.items())[:_MOST_SUBJECTS]]
            more = len(subjects) - len(shown)
            yield f"{verb}: {', '.join(shown)}{f' and {more} more' if more > 0 else ''}"


def _shortened(subject: str) -> str:
    return subject if len(subject) <= _LONGEST_SUBJECT else f"{subject[: _LONGEST_SUBJECT - 3]}..."


def touches(first: Record | None, last: Record | None) -> Iterator[str]:
    """Where the lead came from, a line each."""
    if first is not None:
        yield f"First came from: {_touch(first)}"
    if last is not None and last != first:
        yield f"Last came from: {_touch(last)}"


def _touch(touch: Record) -> str:
    parts = [touch[name] for name in ("source", "medium", "campaign") if touch[name]]
    origin = " / ".join(parts) or touch["referrer"] or "directly"
    return f"{origin} on {_day(touch['occurred_at'])}" + (f", {touch['url']}" if touch["url"] else "")


def _knowledge(profile: Mapping[str, Any]) -> Iterator[str]:
    known = [words for name, words in _BANT if profile.get(name) == "CONFIRMED"]
    absent = [words for name, words in _BANT if profile.get(name) == "ABSENT"]
    missing = [words for name, words in _BANT if profile.get(name) not in ("CONFIRMED", "ABSENT")]
    missing += [words for name, words in _CONTACT if not profile.get(name)]
    if known:
        yield f"Confirmed: {', '.join(known)}"
    if absent:
        yield f"Said to be absent: {', '.join(absent)}"
    if profile.get("expected_amount") is not None:
        yield f"Expected amount: {profile['expected_amount']:,.0f}"
    if missing:
        yield f"Not known yet: {', '.join(missing)}"
    if profile.get("unsubscribed"):
        yield "Has unsubscribed from marketing email"


def _when(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%a %d %b %Y, %H:%M UTC")


def _day(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%d %b")
