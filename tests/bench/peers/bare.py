"""A bare confluent-kafka loop: `bare.py BOOTSTRAP GROUP`. No machinery, no transactions: a ceiling for Python."""

from __future__ import annotations

import sys

import msgspec
from confluent_kafka import Consumer, Producer
from work import Progress, State, decode, output_of, score

BATCH = 2_000


def main(bootstrap: str, group: str) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "lz4", "linger.ms": 5})
    pack, states, progress = msgspec.msgpack.Encoder().encode, {}, Progress()
    consumer.subscribe(["page-views"])
    while True:
        messages = consumer.consume(BATCH, timeout=0.1)
        changed: dict[bytes, State] = {}
        for message in messages:
            key, view = message.key(), decode(message.value())
            states[key], crossed = score(states.get(key, {}), view)
            changed[key] = states[key]
            if crossed:
                producer.produce(f"{group}-out", output_of(view["lead_id"], view), key)
        for key, state in changed.items():
            producer.produce(f"{group}-changelog", pack(state), key)
            producer.poll(0)
        if messages:
            producer.flush()
            consumer.commit(asynchronous=False)
            progress.add(len(messages))


if __name__ == "__main__":
    main(*sys.argv[1:])
