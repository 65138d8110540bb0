"""What must be true of the cluster before the engine joins its group."""

from __future__ import annotations

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.engine.config import CLIENT_LOG, EngineConfig
from streams.engine.seam import EngineError

_TIMEOUT_SECONDS = 15.0


class BrokerUnreachable(EngineError):
    """No broker answered."""


class TopicsUnfit(EngineError):
    """A topic is missing or has the wrong number of partitions."""


def check_topics(config: EngineConfig) -> None:
    """Raise BrokerUnreachable or TopicsUnfit, naming everything that is wrong. Blocks."""
    try:
        found = AdminClient(config.client, logger=CLIENT_LOG).list_topics(timeout=_TIMEOUT_SECONDS).topics
    except KafkaException as error:
        raise BrokerUnreachable(
            f"No answer from a Kafka broker at {config.bootstrap} within {_TIMEOUT_SECONDS:.0f} s: "
            f"{error.args[0].str()}. Check that it runs and that address, port and credentials are right."
        ) from error
    wrong = []
    for name in (*config.topics, config.changelog_topic):
        topic = found.get(name)
        if topic is None or topic.error is not None:
            wrong.append(f"{name} is missing")
        elif len(topic.partitions) != config.partitions:
            wrong.append(f"{name} has {len(topic.partitions)} partitions")
    if wrong:
        raise TopicsUnfit(
            f"The topics at {config.bootstrap} do not fit: {'; '.join(wrong)}. Every source topic and the "
            f"changelog need exactly {config.partitions} partitions, as keys are spread over them. Create "
            "what is missing; a topic with another number of partitions has to be made anew."
        )
