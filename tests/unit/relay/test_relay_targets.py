"""The targets file: what is right loads, what is wrong is said with its line."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.relay.preparing import print_properties
from streams.relay.targets import TargetsError, load_targets, read_targets

EXAMPLES = sorted((Path(__file__).parents[3] / "deploy" / "relay").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_load_and_say_what_a_crm_must_have(path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    print_properties(read_targets(path))
    lines = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    text = json.dumps(lines)
    assert ("leadstream_event_id" in text) == (path.stem == "hubspot")
    assert ("Leadstream_Event_Id__c" in text) == (path.stem == "salesforce")


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
        (HUBSPOT + "    fields: {a: hand_off}\n", 3, "did you mean handoff"),
        (HUBSPOT + "    retry: {attempts: 0}\n", 5, "attempts"),
        (HUBSPOT + "    max_age: soon\n", 5, "duration"),
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
