"""Reading the targets file. As with the model file, a wrong one is refused before anything starts, with line, key, what
was found and what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from pathlib import Path as FilePath
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from streams.errors import UsageError
from streams.qualification.model.nearest import one_of
from streams.qualification.model.nodes import ModelError, Node, Problems, parse
from streams.relay.facts import merged_fields
from streams.relay.hubspot.mapping import DEFAULT_FIELDS, DEFAULT_STAGES
from streams.relay.sections import convert
from streams.relay.settings import (
    Disposition,
    Feedback,
    HubspotFeedback,
    HubspotTarget,
    SalesforceTarget,
    Target,
    Targets,
    WebhookTarget,
)

#: What the dead letters of feedback call their consumer, after `relay:`.
FEEDBACK: Final = "feedback"
#: Stages that begin with an answer of sales: the relay writes them after it, never before.
_BY_SALES: Final = frozenset({"opportunity", "customer"})
_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,39}$"
_KINDS: Final[Mapping[str, type[Target]]] = {
    "webhook": WebhookTarget,
    "hubspot": HubspotTarget,
    "salesforce": SalesforceTarget,
}


class TargetsError(UsageError):
    """A targets file that can't be used; the message names every fault found, with its line."""


def read_targets(path: str | FilePath) -> Targets:
    """The file at `path`. Raises TargetsError."""
    try:
        text = FilePath(path).read_text(encoding="utf-8")
    except OSError as error:
        raise TargetsError(f"the targets file {path} can't be read: {error.strerror}; name it with --targets") from None
    except UnicodeDecodeError as error:
        raise TargetsError(f"the targets file {path} is no UTF-8 text (byte {error.start})") from None
    return load_targets(text, str(path))


def load_targets(text: str, source: str) -> Targets:
    """The targets that `text` describes; `source` names it in messages. Raises TargetsError."""
    if not text.strip():
        raise TargetsError(f"{source}:1: the file is empty, expected targets: with at least one target")
    problems = Problems(source)
    try:
        root = parse(text, problems)
        loaded = _load(root, problems)
        problems.raise_if_any()
    except ModelError as error:
        raise TargetsError(str(error)) from None
    return loaded


def _load(root: Node, problems: Problems) -> Targets:
    if not isinstance(root.value, dict):
        problems.add(root.line, (), "expected targets: and feedback:")
        return Targets({})
    for name, node in root.value.items():
        if name not in ("targets", "feedback"):
            problems.add(node.line, (name,), f"unknown key; {one_of(name, ('targets', 'feedback'))}")
    targets = dict(_targets(root, problems))
    feedback = None
    if "feedback" in root.value:
        feedback = convert(root.value["feedback"], Feedback, problems)
        if feedback is not None:
            _check_feedback(root.value["feedback"], feedback, targets, problems)
    if not targets and feedback is None and not problems:
        problems.add(root.line, ("targets",), "found none, expected at least one target, or feedback")
    return Targets(targets, feedback)


def _targets(root: Node, problems: Problems) -> Iterator[tuple[str, Target]]:
    node = root.value.get("targets")
    if node is None:
        return
    if not isinstance(node.value, dict):
        problems.add(node.line, node.path, "expected names of targets, each with type: and more")
        return
    names = msgspec.convert(list(node.value), list[str])
    for name in names:
        one = node.value[name]
        try:
            msgspec.convert(name, Annotated[str, Meta(pattern=_NAME)])
        except msgspec.ValidationError:
            problems.add(one.line, one.path, "a name has up to 40 of a-z, 0-9 and -")
            continue
        kind = one.deepest(("type",))
        if name == FEEDBACK:
            problems.add(one.line, one.path, "this name is taken: dead letters of sales' answers go by it")
            continue
        if not isinstance(one.value, dict) or "type" not in one.value or str(kind.value) not in _KINDS:
            found = "no type" if kind is one else f"{kind.written!r}"
            problems.add(kind.line, (*one.path, "type"), f"found {found}; {one_of(kind.value, tuple(_KINDS))}")
            continue
        target = convert(one, _KINDS[kind.value], problems)
        if target is not None:
            if "url" in one.value and urlsplit(target.url).scheme == "http" and not target.allow_private:
                problems.add(
                    one.value["url"].line,
                    (*one.path, "url"),
                    "http: is unprotected; use https:, or allow_private: true",
                )
            yield name, target


def _check_feedback(node: Node, feedback: Feedback, targets: Mapping[str, Target], problems: Problems) -> None:
    if feedback.secret is None and feedback.hubspot is None and feedback.salesforce is None:
        problems.add(node.line, node.path, "found no way in, expected secret, hubspot or salesforce")
    if feedback.hubspot is not None:
        _check_hubspot(node.value["hubspot"], feedback.hubspot, targets, problems)
    if feedback.salesforce is not None and feedback.salesforce.field == "Status":
        orgs = [one for one in targets.values() if isinstance(one, SalesforceTarget)]
        own = {status for one in orgs for status in one.statuses.values()}
        _check_own(node.value["salesforce"], own, feedback.salesforce.dispositions, problems)


def _check_hubspot(node: Node, feedback: HubspotFeedback, targets: Mapping[str, Target], problems: Problems) -> None:
    target = targets.get(feedback.target)
    if not isinstance(target, HubspotTarget):
        names = tuple(name for name, one in targets.items() if isinstance(one, HubspotTarget))
        place = node.deepest(("target",))
        problems.add(place.line, place.path, f"no HubSpot target; {one_of(feedback.target, names)}")
        return
    if "lead_id" not in merged_fields(DEFAULT_FIELDS, target.fields).values():
        place = node.deepest(("target",))
        problems.add(place.line, place.path, "its fields leave lead_id out: nothing in HubSpot says whose a contact is")
    own: set[str] = set()
    if feedback.property == "hs_lead_status":
        own = set(target.lead_statuses.values())
    elif feedback.property == "lifecyclestage":
        changes = {str(stage): name for stage, name in target.lifecycle_stages.items()}
        stages = merged_fields(DEFAULT_STAGES, changes)
        own = {name for stage, name in stages.items() if stage not in _BY_SALES}
    _check_own(node, own, feedback.dispositions, problems)


def _check_own(node: Node, own: Set[str], dispositions: Mapping[str, Disposition], problems: Problems) -> None:
    for value in sorted(own & set(dispositions)):
        problems.add(
            node.deepest(("dispositions", value)).line,
            (*node.path, "dispositions", value),
            "the relay writes this value itself: it would take its own writing for sales' answer",
        )
