"""The targets file: what is right loads, what is wrong is said with its line."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.relay.preparing import print_properties
from streams.relay.secrets import SecretMissing, read_secret
from streams.relay.targets import TargetsError, load_targets, read_targets

DEPLOY = Path(__file__).parents[3] / "deploy" / "relay"
EXAMPLES = sorted(DEPLOY.glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_load_and_say_what_a_crm_must_have(path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    print_properties(read_targets(path))
    lines = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    text = json.dumps(lines)
    assert ("leadstream_event_id" in text) == (path.stem == "hubspot")
    assert ("Leadstream_Event_Id__c" in text) == (path.stem == "salesforce")


_METADATA = "{http://soap.sforce.com/2006/04/metadata}"
#: What a custom field may say, of each type that is used: Salesforce's Metadata API, CustomField.
_ELEMENTS = {
    "Text": {"length"},
    "Number": {"precision", "scale"},
    "DateTime": set[str](),
    "LongTextArea": {"length", "visibleLines"},
}


def test_salesforces_package_makes_just_the_fields_that_are_needed(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    print_properties(read_targets(DEPLOY / "salesforce.yaml"))
    wanted = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    made = [field for name in ("Lead", "Activity") for field in _fields_of(name)]
    assert made == [{name: value for name, value in one.items() if name != "target"} for one in wanted]
    package = ElementTree.parse(DEPLOY / "salesforce" / "package.xml").getroot()
    members = {kind.findtext(f"{_METADATA}name"): kind.findall(f"{_METADATA}members") for kind in package}
    assert sorted(str(one.text) for one in members["CustomField"]) == sorted(
        f"{f['object']}.{f['field']}" for f in made
    )
    assert [one.text for one in members["PermissionSet"]] == ["Leadstream_Relay"]
    rights = ElementTree.parse(DEPLOY / "salesforce" / "permissionsets" / "Leadstream_Relay.permissionset").getroot()
    editable = {one.findtext(f"{_METADATA}field") for one in rights.findall(f"{_METADATA}fieldPermissions")}
    # Rights to an activity's fields are given by the kind of activity.
    assert {f"{f['object']}.{f['field']}".replace("Activity.", "Task.") for f in made} <= editable


def _fields_of(name: str) -> list[dict[str, Any]]:
    """The fields of a file of Salesforce's package, as `print_properties` says them."""
    fields = []
    for node in ElementTree.parse(DEPLOY / "salesforce" / "objects" / f"{name}.object").getroot():
        said = {child.tag.removeprefix(_METADATA): child.text for child in node}
        kind = str(said["type"])
        assert said.keys() - {"fullName", "label", "description", "type", "required"} <= _ELEMENTS[kind] | {
            *("externalId", "unique", "caseSensitive"),
        }
        assert said.keys() >= _ELEMENTS[kind] | {"label"}
        size = f"({said['precision']}, {said['scale']})" if kind == "Number" else f"({said.get('length')})"
        field = {"object": name, "field": said["fullName"], "type": kind + (size if _ELEMENTS[kind] else "")}
        marks = {"external_id": "externalId", "unique": "unique"}
        fields.append(field | {mark: True for mark, element in marks.items() if said.get(element) == "true"})
    return fields


HUBSPOT = "targets:\n  crm:\n    type: hubspot\n    token: {env: X}\n"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "empty"),
        ("targets: {}", 1, "at least one target"),
        ("target: {}", 1, "unknown key"),
        ("targets:\n  Big Name: {type: webhook}", 2, "a name has up to 40"),
        ("targets:\n  feedback: {type: webhook}", 2, "taken"),
        ("targets:\n  a: {type: hubspott}", 2, "hubspot"),
        ("targets:\n  a: {type: [webhook]}", 2, "found"),
        (HUBSPOT + "    url: http://x.example\n", 5, "unprotected"),
        (HUBSPOT + "    url: https://u:p@x.example\n", 5, "must not carry a user"),
        *(
            (HUBSPOT + f"    url: {json.dumps(url)}\n", 5, "expected an address")
            for url in ("https://x..example/", f"https://{'a' * 64}.example", "https://.", "https://x y.example/")
        ),
        (HUBSPOT + '    url: "https://x.example/\\n"\n', 5, "expected an address"),
        (HUBSPOT + "    fields: {a: hand_off}\n", 3, "did you mean handoff"),
        (HUBSPOT + "    fields: {Why now: reason}\n", 5, "own name of a field"),
        (HUBSPOT + "    retry: {attempts: 0}\n", 5, "attempts"),
        (HUBSPOT + "    max_age: soon\n", 5, "duration"),
        (HUBSPOT + "    timeout: 0s\n", 3, "without an end"),
        (HUBSPOT + "    topics: []\n", 5, "topics"),
        (HUBSPOT + "    topics: [mql-events, mql-events]\n", 3, "named twice"),
        (HUBSPOT + "    url: https://x.example/?a=b\n", 3, "without a ?query"),
        (
            "targets: {a: {type: salesforce, url: 'https://x.example/?a=b', "
            "oauth: {client_id: a, client_secret: {env: B}}}}",
            1,
            "without a ?query",
        ),
        ("targets:\n  a:\n    type: webhook\n    url: https://x.example\n    secret: whsec_abc\n", 5, "{env: NAME}"),
        (HUBSPOT + "    oauth: {client_id: a, client_secret: {env: B}}\n", 3, "either token or oauth"),
        (HUBSPOT + "feedback: {port: 80}\n", 5, "no way in"),
        (
            HUBSPOT + "feedback:\n  hubspot:\n    target: crn\n    client_secret: {env: B}\n"
            "    public_url: https://x.example/\n    dispositions: {A: WON}\n",
            7,
            "crm",
        ),
        (
            HUBSPOT + "    lead_statuses: {sql: OPEN}\nfeedback:\n  hubspot:\n    target: crm\n"
            "    client_secret: {env: B}\n    public_url: https://x.example/\n    dispositions: {OPEN: ACCEPTED}\n",
            11,
            "its own writing",
        ),
        (
            HUBSPOT + "    fields: {leadstream_lead_id: null}\nfeedback:\n  hubspot:\n    target: crm\n"
            "    client_secret: {env: B}\n    public_url: https://x.example/\n    dispositions: {A: ACCEPTED}\n",
            8,
            "leave lead_id out",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_line_and_what_would_be_right(text: str, line: int, words: str) -> None:
    with pytest.raises(TargetsError) as refused:
        load_targets(text, "targets.yaml")
    assert f"targets.yaml:{line}:" in str(refused.value)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "lines",
    [
        *(
            "token: SeCrEt",
            "token: [SeCrEt]",
            "token: {env: SeCrEt}",
            "token: {env: pat-SeCrEt}",
            "token: {key: SeCrEt}",
        ),
        *("token: {env: A, file: SeCrEt}", "token: {env: [SeCrEt]}", "secret: SeCrEt\n    token: {env: A}"),
        *("url: https://x.example/?key=SeCrEt#a\n    token: {env: A}", "url: SeCrEt\n    token: {env: A}"),
        *("url: https://user:SeCrEt@x.example\n    token: {env: A}", "token: {env: A}\n    token: SeCrEt"),
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(lines: str) -> None:
    with pytest.raises(TargetsError) as refused:
        load_targets(f"targets:\n  crm:\n    type: hubspot\n    {lines}\n", "t")
    assert "SeCrEt" not in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        *("pat-na1-SeCrEt", "whsec_SeCrEt/a+b==", "/9j/SeCrEt", "SeCrEt.abc", "SeCrEt" * 100, "SeCrEt\0", "~SeCrEt"),
        *("a/b/SeCrEt", "//SeCrEt/x", "C:SeCrEt"),
    ],
)
def test_a_secret_in_place_of_its_file_is_not_repeated(given: str) -> None:
    with pytest.raises(SecretMissing) as refused:
        read_secret("targets.crm.token", None, given)
    assert "SeCrEt" not in str(refused.value)
    assert str(refused.value).startswith("targets.crm.token: the file that it names can't be read: ")


@pytest.mark.parametrize("given", ["PATNASECRET", "PATNA1SECRET0", "AKIA_7SECRET", "X_SECRETSECRETSECRETSECRET"])
def test_a_secret_in_place_of_its_variable_is_not_repeated(given: str) -> None:
    with pytest.raises(SecretMissing, match=r"^crm: the environment variable that it names is empty or not set$"):
        read_secret("crm", given, None)


@pytest.mark.parametrize("text", ["pat-SeCrEt\nsecond line", "pat-SeCrEt\rx", "pat-\x01SeCrEt"])
def test_a_secret_that_no_header_can_carry_is_refused_before_anything_is_sent(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(text)
    monkeypatch.setenv("HUBSPOT_TOKEN", text)
    for where in (("HUBSPOT_TOKEN", None), (None, str(tmp_path / "token"))):
        with pytest.raises(SecretMissing, match="more than one line, or control characters") as refused:
            read_secret("targets.crm.token", *where)
        assert "SeCrEt" not in str(refused.value)


def test_a_path_or_a_name_is_repeated_when_it_is_surely_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").touch()
    monkeypatch.chdir(tmp_path)
    for path in (f"{tmp_path}/empty", f"{tmp_path}/none", "/etc/none/token", "./none", "../none", "~/none", "empty"):
        with pytest.raises(SecretMissing, match=f"the file {re.escape(path)} "):
            read_secret("crm", None, path)
    monkeypatch.setenv("BLANK", " ")
    for name in ("HUBSPOT_TOKEN_THAT_NOBODY_SET", "BLANK"):
        with pytest.raises(SecretMissing, match=f"variable {name} is empty"):
            read_secret("crm", name, None)


_YAML = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["webhook", "hubspot", "1s"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["targets", "feedback", "a", "type", "url", "secret", "env", "fields", "retry", "hubspot"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200)
@given(_YAML)
def test_any_file_loads_or_is_refused(value: Any) -> None:
    with contextlib.suppress(TargetsError):
        load_targets(json.dumps(value), "t")
