"""Who may do what on Kafka: the one table from which ACLs, Kubernetes' users and the tests of rights are made.

A role is a Kafka user, `leadstream-worker` say; several services of one role may share it. Nobody needs more than its
row, and each right is there because something fails without it (the tests take them away one by one).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from streams.kafka import READER_GROUP
from streams.topics import (
    INPUT_TOPICS,
    OUTPUT_TOPICS,
    SOURCE_TOPICS,
    TOPICS,
    Topic,
    changelog_topic,
    relay_memory_topic,
    relay_retries_topic,
)

Operation = Literal["Read", "Write", "Create", "Describe", "DescribeConfigs", "AlterConfigs"]
Kind = Literal["topic", "group", "transactional-id"]

#: CRMs read as consumer groups of such names, and of no others.
CRM_GROUPS = "crm-"


@dataclass(frozen=True, slots=True)
class Right:
    """`operations` on the `kind` of resource that is called `name`, or whose name begins so. Reading and writing
    include Describe, as in Kafka.
    """

    kind: Kind
    name: str
    operations: tuple[Operation, ...]
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Role:
    """`user`: the Kafka user's name, without `User:`."""

    user: str
    purpose: str
    rights: tuple[Right, ...]


def roles(app_id: str) -> tuple[Role, ...]:
    """All roles of the workers' group `app_id` and what goes with it."""
    changelog, memory, retries = (
        changelog_topic(app_id),
        relay_memory_topic(app_id),
        relay_retries_topic(app_id),
    )
    everything = (*TOPICS.values(), changelog, memory, retries)
    letters = TOPICS["dead-letters"]
    for_sales = tuple(topic for topic in OUTPUT_TOPICS if topic is not letters)
    return (
        Role(
            f"{app_id}-operator",
            "creates and mends topics, sends dead letters back, forgets leads: `topics`, `dead-letters`, `forget`",
            (
                *_on(everything, "Read", "Create", "DescribeConfigs", "AlterConfigs"),
                *_on((*INPUT_TOPICS, retries), "Write"),
                Right("group", READER_GROUP, ("Describe",)),
            ),
        ),
        Role(f"{app_id}-tracker", "writes events: trackers, `publish`", tuple(_on(INPUT_TOPICS, "Write"))),
        Role(
            f"{app_id}-collector",
            "writes events, and what it can't read as dead letters",
            tuple(_on((*INPUT_TOPICS, letters), "Write")),
        ),
        Role(
            f"{app_id}-worker",
            "reads events, writes qualifications, keeps its changelog, in transactions of its own",
            (
                *_on(SOURCE_TOPICS, "Read"),
                *_on((*OUTPUT_TOPICS, TOPICS["strays"]), "Write"),
                *_on((changelog,), "Read", "Write"),
                Right("group", app_id, ("Read",)),
                Right("transactional-id", f"{app_id}-", ("Write",), prefix=True),
            ),
        ),
        Role(
            f"{app_id}-relay",
            "delivers qualifications to CRMs, remembers what it has, and writes their answers",
            (
                *_on(for_sales, "Read"),
                *_on((letters, TOPICS["sales-feedback"]), "Write"),
                *_on((memory,), "Read", "Write"),
                *_on((retries,), "Read"),
                Right("group", f"{app_id}-relay-", ("Read",), prefix=True),
                Right("group", READER_GROUP, ("Describe",)),
            ),
        ),
        Role(
            f"{app_id}-crm",
            f"reads qualifications, in groups whose names begin with {CRM_GROUPS}, and answers them",
            (
                *_on(for_sales, "Read"),
                *_on((TOPICS["sales-feedback"],), "Write"),
                Right("group", CRM_GROUPS, ("Read",), prefix=True),
            ),
        ),
        Role(
            f"{app_id}-reader",
            "looks at everything and changes nothing: `tail`, `explain`, `dead-letters list`, `state export`",
            (*_on(everything, "Read"), Right("group", READER_GROUP, ("Describe",))),
        ),
        Role(
            f"{app_id}-autoscaler",
            "sees how far behind the relay is",
            (
                *_on(for_sales, "Describe"),
                Right("group", f"{app_id}-relay-", ("Describe",), prefix=True),
            ),
        ),
    )


def kafka_acls(app_id: str) -> list[str]:
    """The table as arguments of kafka-acls.sh, one line a right."""
    lines = []
    for role in roles(app_id):
        for right in role.rights:
            operations = " ".join(f"--operation {name}" for name in right.operations)
            pattern = " --resource-pattern-type prefixed" if right.prefix else ""
            lines.append(f"--add --allow-principal User:{role.user} {operations} --{right.kind} {right.name}{pattern}")
    return lines


def _on(topics: Iterable[Topic], *operations: Operation) -> list[Right]:
    return [Right("topic", topic.name, operations) for topic in topics]
