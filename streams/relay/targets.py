"""The targets file: where to deliver what, and whom to take feedback from.

As with the model file, a wrong one is refused before anything starts, with line, key, what was found and allowed.
Secrets are not in it, only where they are: `{env: NAME}` or `{file: PATH}`.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from streams.errors import UsageError
from streams.qualification.feedback import DISPOSITIONS
from streams.qualification.model.nearest import one_of
from streams.qualification.model.nodes import ModelError, Node, Path, Problems, parse
from streams.qualification.model.units import parse_duration
from streams.relay.facts import FACTS

Topic = Literal["mql-events", "sql-events", "lifecycle-events", "lead-scores"]
Stage = Literal["visitor", "lead", "mql", "sql", "opportunity", "customer", "disqualified"]
Disposition = Literal["ACCEPTED", "REJECTED", "MEETING_HELD", "OPPORTUNITY", "WON", "LOST"]
TOPICS: Final[tuple[Topic, ...]] = get_args(Topic)

_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,39}$"
ApiName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")]
DAY_S: Final = 86_400


class TargetsError(UsageError):
    """A targets file that can't be used; the message names every fault found, with its line."""


class Duration(float):
    """Seconds; `7d`, `12h`, `30s`, `500ms` in the file."""


class Url(str):
    """An absolute http or https address, without user, query and fragment."""


class _Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class SecretAt(_Strict, frozen=True, kw_only=True):
    """Where a secret is: one of the two."""

    env: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        if (self.env is None) == (self.file is None):
            raise ValueError("expected either env: NAME or file: PATH")


class Retry(_Strict, frozen=True, kw_only=True):
    """`attempts` tries, the pauses between them growing from `first` to at most `longest`, with jitter."""

    attempts: Annotated[int, Meta(ge=1, le=100)] = 8
    first: Duration = Duration(1)
    longest: Duration = Duration(300)


class BreakerSettings(_Strict, frozen=True, kw_only=True):
    """After `failures` failures of the target in a row it is left alone for `pause`."""

    failures: Annotated[int, Meta(ge=1, le=1000)] = 5
    pause: Duration = Duration(30)


class Common(_Strict, frozen=True, kw_only=True):
    """What all targets have. `max_age`: an older event asks nobody to do anything (null: no limit)."""

    topics: tuple[Topic, ...] = TOPICS
    timeout: Duration = Duration(10)
    concurrency: Annotated[int, Meta(ge=1, le=64)] = 4
    max_age: Duration | None = Duration(7 * DAY_S)
    retry: Retry = Retry()
    breaker: BreakerSettings = BreakerSettings()
    allow_private: bool = False
    ca_file: str | None = None


class WebhookTarget(Common, frozen=True, kw_only=True):
    """A subscriber that speaks Standard Webhooks; `secret` is its `whsec_...`."""

    type: Literal["webhook"]
    url: Url
    secret: SecretAt


class OAuth(_Strict, frozen=True, kw_only=True):
    """An app's credentials: HubSpot's with a refresh token, Salesforce's client credentials without."""

    client_id: str
    client_secret: SecretAt
    refresh_token: SecretAt | None = None


class HubspotTarget(Common, frozen=True, kw_only=True):
    """A HubSpot account, by a private app's token or a public app's OAuth."""

    type: Literal["hubspot"]
    url: Url = Url("https://api.hubapi.com")
    token: SecretAt | None = None
    oauth: OAuth | None = None
    fields: Mapping[ApiName, str | None] = {}
    lifecycle_stages: Mapping[Stage, str | None] = {}
    lead_statuses: Mapping[Stage, str] = {}
    tasks_for: tuple[Literal["MQL", "SQL"], ...] = ("SQL",)
    task_owner: str | None = None
    erase: bool = True

    def __post_init__(self) -> None:
        if (self.token is None) == (self.oauth is None):
            raise ValueError("expected either token or oauth")
        if self.oauth is not None and self.oauth.refresh_token is None:
            raise ValueError("oauth needs a refresh_token")
        _known_facts(self.fields)


class SalesforceTarget(Common, frozen=True, kw_only=True):
    """A Salesforce org, by a connected app's client credentials. `url` is My Domain."""

    type: Literal["salesforce"]
    url: Url
    oauth: OAuth
    api_version: Annotated[str, Meta(pattern=r"^[0-9]{2}\.0$")] = "62.0"
    external_id: ApiName = "Leadstream_Lead_Id__c"
    task_external_id: ApiName = "Leadstream_Event_Id__c"
    fields: Mapping[ApiName, str | None] = {}
    statuses: Mapping[Stage, str] = {}
    tasks_for: tuple[Literal["MQL", "SQL"], ...] = ("SQL",)
    task_owner: str | None = None
    erase: bool = True

    def __post_init__(self) -> None:
        _known_facts(self.fields)


Target = WebhookTarget | HubspotTarget | SalesforceTarget
_KINDS: Final[Mapping[str, type[Target]]] = {
    "webhook": WebhookTarget,
    "hubspot": HubspotTarget,
    "salesforce": SalesforceTarget,
}


class HubspotFeedback(_Strict, frozen=True, kw_only=True):
    """Changes of a contact's `property`, read through the HubSpot target named `target`; `public_url` is what
    HubSpot was told to call, as its signature covers it.
    """

    target: str
    client_secret: SecretAt
    public_url: Url
    property: ApiName = "hs_lead_status"
    dispositions: Mapping[str, Disposition]
    reason_property: ApiName | None = None


class SalesforceFeedback(_Strict, frozen=True, kw_only=True):
    """Outbound messages about leads. They are not signed: `token` is the last part of the address they go to."""

    token: SecretAt
    organization_id: Annotated[str, Meta(pattern=r"^00D[A-Za-z0-9]{12}([A-Za-z0-9]{3})?$")]
    field: ApiName = "Status"
    dispositions: Mapping[str, Disposition]
    reason_field: ApiName | None = None
    external_id: ApiName = "Leadstream_Lead_Id__c"
    qualification_field: ApiName = "Leadstream_Qualification_Id__c"


class Feedback(_Strict, frozen=True, kw_only=True):
    """The server that sales' answers come in by."""

    port: Annotated[int, Meta(ge=1, le=65535)] = 8081
    host: str = "127.0.0.1"
    secret: SecretAt | None = None
    hubspot: HubspotFeedback | None = None
    salesforce: SalesforceFeedback | None = None


class Targets(Struct, frozen=True):
    """The whole file."""

    targets: Mapping[str, Target]
    feedback: Feedback | None = None


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
        feedback = _convert(root.value["feedback"], Feedback, problems)
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
        if not isinstance(one.value, dict) or "type" not in one.value or kind.value not in _KINDS:
            found = "no type" if kind is one else f"{kind.written!r}"
            problems.add(kind.line, (*one.path, "type"), f"found {found}; {one_of(kind.value, tuple(_KINDS))}")
            continue
        target = _convert(one, _KINDS[kind.value], problems)
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
    hubspot = feedback.hubspot
    if hubspot is None:
        return
    target = targets.get(hubspot.target)
    if not isinstance(target, HubspotTarget):
        names = tuple(name for name, one in targets.items() if isinstance(one, HubspotTarget))
        line = node.deepest(("hubspot", "target")).line
        problems.add(line, (*node.path, "hubspot", "target"), f"no HubSpot target; {one_of(hubspot.target, names)}")
        return
    own: set[str | None] = set()
    if hubspot.property == "hs_lead_status":
        own = set(target.lead_statuses.values())
    elif hubspot.property == "lifecyclestage":
        own = set(target.lifecycle_stages.values())
    for value in sorted(str(value) for value in own & set(hubspot.dispositions)):
        line = node.deepest(("hubspot", "dispositions", value)).line
        problems.add(
            line,
            (*node.path, "hubspot", "dispositions", value),
            "the relay writes this value itself: it would take its own writing for sales' answer",
        )


# --- one section, by its type ---------------------------------------------------------------------------


def _convert(node: Node, wanted: Any, problems: Problems) -> Any:
    try:
        return msgspec.convert(node.plain(), wanted, dec_hook=_custom, strict=True)
    except msgspec.ValidationError as error:
        what, _, at = str(error).partition(" - at `")
        at, is_key = at.removeprefix("key` in `"), at.startswith("key` in `")
        steps = _steps(node, at.rstrip("`").removeprefix("$"), wanted, is_key)
        place = node.deepest(steps)
        if what.startswith("Object contains unknown field"):
            unknown = what.split("`")[1]
            line = place.value[unknown].line if isinstance(place.value, dict) else place.line
            problems.add(line, (*place.path, unknown), f"unknown key; {one_of(unknown, _fields_at(wanted, steps))}")
        else:
            problems.add(place.line, place.path, _in_words(what, place, wanted, steps, is_key))
        return None


def _steps(node: Node, at: str, wanted: Any, is_key: bool) -> Path:
    """The way from `node` to what msgspec points at; where it says [...], the first entry that is wrong."""
    steps: Path = ()
    for step in re.findall(r"\[[^\]]*\]|[^.\[\]]+", at):
        if step != "[...]":
            steps = (*steps, int(step[1:-1]) if step.startswith("[") else step)
            continue
        entries = node.deepest(steps).value
        keys = entries if isinstance(entries, dict) else range(len(entries))
        wrong = (key for key in keys if not _fits(node.deepest((*steps, key)), _type_at(wanted, (*steps, key))))
        steps = (*steps, next(wrong))
    if is_key:
        (key_type, _) = get_args(_bare(_type_at(wanted, steps)))
        keys = node.deepest(steps).value
        steps = (*steps, next(key for key in keys if not _fits(Node(key, 0, ()), key_type)))
    return steps


def _fits(node: Node, wanted: Any) -> bool:
    try:
        msgspec.convert(node.plain(), wanted, dec_hook=_custom, strict=True)
    except msgspec.ValidationError:
        return False
    return True


def _custom(wanted: type, value: Any) -> Any:
    if wanted is Duration:
        try:
            return Duration(parse_duration(value) / 1000)
        except (ValueError, TypeError):
            raise ValueError("expected a duration such as 30s, 12h or 7d") from None
    if wanted is Url:
        return _url(value)
    raise NotImplementedError(wanted)


def _url(value: Any) -> Url:
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise ValueError("expected an address such as https://host/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address must not carry a user or password; secrets are {env: NAME} or {file: PATH}")
    if parts.fragment:
        raise ValueError("an address must not have a #fragment")
    return Url(value.rstrip("/") if not parts.query else value)


def _in_words(what: str, place: Node, wanted: Any, steps: Path, is_key: bool) -> str:
    expected = _type_at(wanted, steps)
    if _bare(expected) is SecretAt and not isinstance(place.value, dict):
        return "expected {env: NAME} or {file: PATH}: a secret itself does not stand in this file"
    if is_key:
        expected = get_args(_bare(_type_at(wanted, steps[:-1])))[0]
        return f"unknown key; {one_of(steps[-1], get_args(_bare(expected)))}"
    found = "" if isinstance(place.value, (dict, list)) else f"found {place.written!r}; "
    if get_origin(_bare(expected)) is Literal:
        return found + one_of(place.value, get_args(_bare(expected)))
    words = what.replace("`", "")
    return found + words[:1].lower() + words[1:]


def _type_at(wanted: Any, steps: Path) -> Any:
    """The declared type of what stands at `steps` under a value of type `wanted`."""
    for step in steps:
        bare = _bare(wanted)
        if isinstance(bare, type) and issubclass(bare, Struct):
            wanted = get_type_hints(bare, include_extras=True).get(str(step))
        else:
            arguments = get_args(bare)
            wanted = arguments[-1 if get_origin(bare) is not tuple else 0] if arguments else None
    return wanted if steps else _bare(wanted)


def _bare(wanted: Any) -> Any:
    if get_origin(wanted) in (Union, types.UnionType):
        wanted = next((one for one in get_args(wanted) if one is not type(None)), None)
    return get_args(wanted)[0] if get_origin(wanted) is Annotated else wanted


def _fields_at(wanted: Any, steps: Path) -> tuple[str, ...]:
    found = _bare(_type_at(wanted, steps))
    return found.__struct_fields__ if isinstance(found, type) and issubclass(found, Struct) else ()


def _known_facts(fields: Mapping[str, str | None]) -> None:
    for name, fact in fields.items():
        if fact is not None and fact not in FACTS:
            raise ValueError(f"fields: {name}: {fact!r} is no fact; {one_of(fact, FACTS)}")


assert set(get_args(Disposition)) == set(DISPOSITIONS)
