"""Encryption, login and rights, on a broker that believes nobody and allows what the table of rights says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from streams.access import CRM_GROUPS, Role, roles
from streams.kafka import DEFAULT_APP, READER_GROUP
from streams.topics import TOPICS
from tests.processes import await_line, eventually, leadstream, running
from tests.relay_bed import SECRETS, webhook
from tests.rights import Tried, works
from tests.secured_broker import Secured, certificate_broker, password_of, scram_broker
from tests.servers import Subscriber, serving

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROLES = {role.user.removeprefix(f"{DEFAULT_APP}-"): role for role in roles(DEFAULT_APP)}
STRANGER = "stranger"
BOOKING = '{"topic":"demo-bookings","event":{"lead_id":"%s","occurred_at":%d,"booking_id":"b","status":"BOOKED"}}\n'
NOON = 1_795_262_400_000


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker where every role has its rights and its topics were made by the operator."""
    folder = tmp_path_factory.mktemp("secured")
    with scram_broker(folder, [STRANGER, *(role.user for role in ROLES.values())]) as broker:
        broker.allow(ROLES.values())
        made = leadstream("topics", "--partitions", "2", env=broker.variables(ROLES["operator"].user))
        assert made.returncode == 0, made.stderr
        yield broker


def as_role(secured: Secured, name: str, *arguments: str, input: str = "") -> str:
    """What the command prints when it is run by the role's user, and succeeds."""
    done = leadstream(*arguments, input=input.encode(), env=secured.variables(ROLES[name].user))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_worker_collector_and_relay_do_their_work_with_just_their_own_rights(secured: Secured, tmp_path: Path) -> None:
    keys, targets = tmp_path / "keys.yaml", tmp_path / "targets.yaml"
    keys.write_text("- {name: tests, key: a-write-key-for-tests, events_per_second: 1000}\n")
    with serving(Subscriber()) as subscriber:
        targets.write_text(json.dumps({"targets": {"hook": webhook(subscriber.url)}}))

        def environment(name: str) -> dict[str, str]:
            return {**secured.variables(ROLES[name].user), **SECRETS}

        logs = {name: tmp_path / f"{name}.log" for name in ("worker", "collector", "relay")}
        with (
            running(logs["worker"], "worker", env=environment("worker")) as worker,
            running(
                logs["collector"],
                *("collector", "--port", "0", "--write-keys", str(keys)),
                env=environment("collector"),
            ) as collector,
            running(logs["relay"], "relay", "--targets", str(targets), env=environment("relay")) as relay,
        ):
            await_line(worker, logs["worker"], "ready ")
            url = await_line(collector, logs["collector"], "ready ").removeprefix("ready ")
            await_line(relay, logs["relay"], "ready ")
            event = {"userId": "secured-1", "event": "Demo Requested", "messageId": "m-1"}
            identify = {"userId": "secured-1", "traits": {"email": "buyer@example.com"}, "messageId": "m-2"}
            for path, body in (("identify", identify), ("track", event)):
                answer = requests.post(
                    f"http://{url}/v1/{path}", json=body, auth=("a-write-key-for-tests", ""), timeout=30
                )
                assert answer.status_code == 200, answer.text
            as_role(secured, "tracker", "publish", "-", input=BOOKING % ("secured-2", NOON))
            eventually(
                lambda: "leadstream.sql.v1" in {one.json["type"] for one in subscriber.heard}, "nothing was delivered"
            )
        for log in logs.values():
            text = log.read_text()
            assert "denied" not in text
            assert "authoriz" not in text.lower(), text
            assert "password-of" not in text
    seen = as_role(secured, "reader", "tail", *TOPICS, "--json", "--from-beginning", "--until-end")
    topics = {json.loads(line)["topic"] for line in seen.splitlines()}
    assert {"lead-profiles", "demo-bookings", "sql-events", "lifecycle-events"} <= topics
    qualified = [json.loads(line)["key"] for line in seen.splitlines() if json.loads(line)["topic"] == "sql-events"]
    assert "Qualified last: SQL" in as_role(secured, "reader", "explain", qualified[0])


def test_a_topic_that_is_closed_to_the_collector_is_no_reason_to_lose_or_hold_up_events(
    secured: Secured, tmp_path: Path
) -> None:
    user, admin = ROLES["collector"].user, secured.admin()
    denied = (
        ResourceType.TOPIC, "page-views", ResourcePatternType.LITERAL, f"User:{user}", "*",
        AclOperation.WRITE, AclPermissionType.DENY,
    )  # fmt: skip
    log = tmp_path / "collector.log"
    with running(log, "collector", "--port", "0", "--open", env=secured.variables(user)) as collector:
        url = await_line(collector, log, "ready ").removeprefix("ready ")

        def post(path: str) -> int:
            body = {"userId": "closed", "event": "x", "properties": {"url": "https://x.example/"}}
            return requests.post(f"http://{url}/v1/{path}", json=body, auth=("any", ""), timeout=30).status_code

        assert (post("page"), post("track")) == (200, 200)
        for answer in admin.create_acls([AclBinding(*denied)]).values():
            answer.result()
        eventually(lambda: post("page") == 503, "what the broker does not take is confirmed")
        assert (post("page"), post("track")) == (503, 200)
        for deleted in admin.delete_acls([AclBindingFilter(*denied)]).values():
            deleted.result()
        eventually(lambda: post("page") == 200, "it does not come back")
    assert "takes nothing for page-views" in log.read_text()


def test_the_operator_forgets_and_sends_back_and_the_reader_looks(secured: Secured) -> None:
    as_role(secured, "operator", "forget", "secured-2")
    as_role(secured, "operator", "dead-letters", "retry", "--all")
    as_role(secured, "reader", "dead-letters", "list")
    assert as_role(secured, "operator", "topics", "--check") == "All topics are there, 2 partitions each.\n"


def test_state_is_exported_by_the_reader_and_put_back_by_the_worker_s_user(secured: Secured, tmp_path: Path) -> None:
    file, changelog = tmp_path / "leads.state", f"{DEFAULT_APP}-leads-changelog"
    said = as_role(secured, "reader", "state", "export", str(file))
    admin = secured.admin()
    admin.delete_topics([changelog])[changelog].result()
    eventually(lambda: changelog not in admin.list_topics(timeout=10).topics, "the changelog is still there")
    as_role(secured, "operator", "topics")
    assert as_role(secured, "worker", "state", "import", str(file)).split()[1] == said.split()[1]


@pytest.mark.parametrize(
    ("user", "command", "says"),
    [
        (STRANGER, ("publish", "-"), "No topic page-views"),
        (STRANGER, ("worker",), "may not create it"),
        (ROLES["tracker"].user, ("tail", "page-views"), "authorization failed"),
        (ROLES["tracker"].user, ("worker",), "may not create it"),
        (ROLES["reader"].user, ("topics",), "may not see or change settings"),
        (ROLES["reader"].user, ("topics", "--min-insync-replicas", "1"), "may not see or change settings"),
        (ROLES["collector"].user, ("dead-letters", "list"), "authorization failed"),
        (STRANGER, ("explain", "secured-1"), f"No topic {DEFAULT_APP}-leads-changelog"),
        (ROLES["crm"].user, ("explain", "secured-1"), f"No topic {DEFAULT_APP}-leads-changelog"),
    ],
)
def test_who_lacks_a_right_is_told_so(secured: Secured, user: str, command: tuple[str, ...], says: str) -> None:
    done = leadstream(*command, env=secured.variables(user))
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"password": "wrong"}, "refused the login"),
        ({"username": "nobody"}, "refused the login"),
        ({"mechanism": "SCRAM-SHA-256"}, "refused the login"),
        ({"ca": None}, "No secure connection"),
        ({"ca": None, "protocol": "SASL_PLAINTEXT"}, "No Kafka broker answers"),
    ],
    ids=["a wrong password", "an unknown user", "a mechanism that is off", "an authority not believed", "no TLS"],
)
def test_a_login_that_fails_is_told_at_once(secured: Secured, changed: dict[str, str], says: str) -> None:
    done = leadstream("tail", "mql-events", env=secured.variables(ROLES["reader"].user, **changed))
    assert done.returncode == 1
    assert says in done.stderr
    assert "wrong" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_in_a_file_and_sasl_plain_do_as_well(secured: Secured, tmp_path: Path) -> None:
    user = ROLES["reader"].user
    file = tmp_path / "password"
    file.write_text(password_of(user) + "\n")
    options = ("--sasl-username", user, "--sasl-password-file", str(file), "--ssl-ca", str(secured.ca))
    for mechanism in ("PLAIN", "SCRAM-SHA-512"):
        done = leadstream(
            *("tail", "mql-events", "--until-end", "--bootstrap", secured.bootstrap),
            *("--security-protocol", "SASL_SSL", "--sasl-mechanism", mechanism, *options),
        )
        assert done.returncode == 0, done.stderr


def test_certificates_are_enough_for_every_client(tmp_path: Path) -> None:
    with certificate_broker(tmp_path) as (address, login):
        env = {**login.variables(), "LEADSTREAM_BOOTSTRAP": address, "PATH": "/usr/bin:/bin"}
        log = tmp_path / "worker.log"
        assert leadstream("topics", "--partitions", "1", env=env).returncode == 0
        with running(log, "worker", env=env) as worker:
            await_line(worker, log, "ready ")
            done = leadstream("publish", "-", input=(BOOKING % ("certified", NOON)).encode(), env=env)
            assert done.returncode == 0, done.stderr

            def said() -> bool:
                tail = leadstream("tail", "sql-events", "--from-beginning", "--until-end", "--json", env=env)
                return "certified" in tail.stdout

            eventually(said, f"no SQL event, see {log}")
        without = {
            name: value for name, value in env.items() if name not in ("LEADSTREAM_SSL_CERT", "LEADSTREAM_SSL_KEY")
        }
        refused = leadstream("tail", "sql-events", env=without)
        assert refused.returncode == 1
        assert "--ssl-cert" in refused.stderr


GROUPS = (DEFAULT_APP, f"{DEFAULT_APP}-relay-hubspot", f"{CRM_GROUPS}hubspot", READER_GROUP, "others")
IDS = (f"{DEFAULT_APP}-0", f"{DEFAULT_APP}-11", "others-0")
#: Kafka lets who has these see that a thing is there, too.
SEES = {"Read", "Write", "AlterConfigs", "Describe"}


def _names(kind: str, name: str, prefix: bool, topics: list[str]) -> list[str]:
    known = {"topic": topics, "group": list(GROUPS), "transactional-id": list(IDS)}[kind]
    return [one for one in known if (one.startswith(name) if prefix else one == name)]


def _expected(role: Role | None, topics: list[str]) -> set[Tried]:
    expected: set[Tried] = set()
    for right in role.rights if role is not None else ():
        for name in _names(right.kind, right.name, right.prefix, topics):
            expected |= {(right.kind, name, operation) for operation in right.operations}
            if right.kind != "transactional-id" and SEES & {*right.operations}:
                expected.add((right.kind, name, "Describe"))
    return expected


@pytest.mark.parametrize("name", [*ROLES, STRANGER])
def test_a_role_can_do_what_its_row_says_and_nothing_else(secured: Secured, name: str) -> None:
    """Comes last: trying to write leaves records that nobody can read."""
    topics = sorted({right.name for right in ROLES["operator"].rights if right.kind == "topic"})
    role = ROLES.get(name)
    found = works(secured.client(role.user if role else STRANGER), topics, GROUPS, IDS)
    expected = _expected(role, topics)
    assert found - expected == set(), "allowed, and should not be"
    assert expected - found == set(), "not allowed, and should be"
