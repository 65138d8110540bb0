"""What is known of the broker: one topic's trouble is its own, and the broker is away only when it does not answer."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from streams.collector.standing import Standing

TIMED_OUT = KafkaError(KafkaError._MSG_TIMED_OUT)
#: How long a request that tries may take.
TRIES = 3.0


def tried(standing: Standing, now: float, *topics: str) -> bool:
    return standing.attempt(topics, now, TRIES)


def test_a_topic_in_trouble_holds_up_no_other() -> None:
    standing = Standing()
    assert standing.failed("downloads", TIMED_OUT, 100.0)
    assert not standing.healthy
    assert not standing.away
    assert [tried(standing, 100.5, topic) for topic in ("downloads", "page-views")] == [False, True]
    standing.confirmed("page-views")
    assert not tried(standing, 100.6, "page-views", "downloads")
    assert not standing.healthy


def test_after_a_pause_one_request_tries_and_the_others_come_back_later() -> None:
    standing = Standing()
    standing.failed("downloads", TIMED_OUT, 100.0)
    assert [tried(standing, now, "downloads") for now in (101.0, 101.1, 103.9)] == [True, False, False]
    assert tried(standing, 104.1, "downloads")  # whatever became of the first
    standing.confirmed("downloads")
    assert standing.healthy
    assert tried(standing, 104.2, "downloads")


def test_a_request_that_is_held_up_by_one_topic_does_not_count_as_the_try_of_another() -> None:
    standing = Standing()
    standing.failed("downloads", TIMED_OUT, 100.0)
    standing.failed("activities", TIMED_OUT, 100.9)
    assert not tried(standing, 101.5, "downloads", "activities")
    assert tried(standing, 101.6, "downloads")


def test_while_the_broker_does_not_answer_nothing_is_sent() -> None:
    standing = Standing()
    standing.failed("downloads", TIMED_OUT, 100.0)
    standing.answered(False)
    assert not tried(standing, 200.0, "page-views")
    standing.answered(True)
    assert tried(standing, 200.0, "page-views")
    assert not standing.healthy  # until the topic that failed is confirmed


@pytest.mark.parametrize("code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._UNKNOWN_TOPIC])
def test_what_the_broker_refuses_at_once_is_said_from_time_to_time_and_pauses_nothing(
    code: int, caplog: pytest.LogCaptureFixture
) -> None:
    standing = Standing()
    assert not any(standing.failed("page-views", KafkaError(code), 100.0 + number) for number in range(59))
    assert standing.healthy
    assert caplog.text.count("takes nothing for page-views") == 1
    standing.failed("page-views", KafkaError(code), 161.0)
    assert caplog.text.count("takes nothing for page-views") == 2
