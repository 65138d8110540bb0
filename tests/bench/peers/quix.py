"""Quix Streams with a stateful apply: `quix.py BOOTSTRAP GROUP FOLDER`. At least once, its default."""

from __future__ import annotations

import logging
import sys
from typing import Any

from quixstreams import Application
from work import Progress, decode, output_of, score


def main(bootstrap: str, group: str, folder: str) -> None:
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=folder,
        loglevel=logging.ERROR,
    )
    progress = Progress()

    def qualify(value: bytes, state: Any) -> bytes | None:
        view = decode(value)
        scored, crossed = score(state.get("groups", {}), view)
        state.set("groups", scored)
        progress.add(1)
        return output_of(view["lead_id"], view) if crossed else None

    views = app.topic("page-views", key_deserializer="bytes", value_deserializer="bytes")
    out = app.topic(f"{group}-out", key_serializer="bytes", value_serializer="bytes")
    events = app.dataframe(views).apply(qualify, stateful=True)
    events = events[events.apply(lambda value: value is not None)]
    events.to_topic(out)
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
